package dev.vireo.controller.api;

import dev.vireo.controller.node.Overcommit;
import dev.vireo.proto.v1.NodeSpec;
import dev.vireo.proto.v1.Taint;
import dev.vireo.proto.v1.UpdateNodeRequest;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** What an UpdateNode changes: the fields that its mask names, each as a whole. */
final class NodeChange {
  /** The fields of a node that an operator writes. */
  private enum Field {
    CORDONED("spec.cordoned"),
    LABELS("spec.labels"),
    TAINTS("spec.taints"),
    DRAIN("spec.drain");

    private final String path;

    Field(String path) {
      this.path = path;
    }

    static Optional<Field> of(String path) {
      return Stream.of(values()).filter(field -> field.path.equals(path)).findFirst();
    }

    static String paths() {
      return Stream.of(values()).map(field -> field.path).collect(Collectors.joining(", "));
    }
  }

  static final int MOST_TAINTS = 16;

  private final Set<Field> fields;
  private final NodeSpec wanted;

  private NodeChange(Set<Field> fields, NodeSpec wanted) {
    this.fields = fields;
    this.wanted = wanted;
  }

  /** Throws what is wrong with the request, all of it. */
  static NodeChange of(UpdateNodeRequest request) {
    Violations violations = new Violations();
    Set<Field> fields = EnumSet.noneOf(Field.class);
    if (request.getUpdateMask().getPathsCount() == 0) {
      violations.required("update_mask");
    }
    for (String path : request.getUpdateMask().getPathsList()) {
      Field.of(path)
          .ifPresentOrElse(
              fields::add,
              () ->
                  violations.invalid(
                      "update_mask",
                      "has \"%s\"; what can be changed: %s.".formatted(path, Field.paths())));
    }
    NodeSpec wanted = request.getNode().getSpec();
    if (fields.contains(Field.LABELS)) {
      Labels.validate(wanted.getLabelsMap(), "node.spec.labels", violations);
      for (Overcommit ratio : Overcommit.values()) {
        String value = wanted.getLabelsOrDefault(ratio.label(), "1");
        violations.invalidIf(
            Overcommit.parse(value).isEmpty(),
            "node.spec.labels[%s]".formatted(ratio.label()),
            "is \"%s\"; a decimal number from 0.1 to 100, for example 1.5.",
            value);
      }
    }
    if (fields.contains(Field.TAINTS)) {
      validateTaints(wanted.getTaintsList(), violations);
    }
    violations.throwIfAny();
    return new NodeChange(fields, wanted);
  }

  private static void validateTaints(List<Taint> taints, Violations violations) {
    String field = "node.spec.taints";
    violations.invalidIf(
        taints.size() > MOST_TAINTS,
        field,
        "has %d entries; at most %d.",
        taints.size(),
        MOST_TAINTS);
    Set<Object> seen = new HashSet<>();
    for (int i = 0; i < taints.size(); i++) {
      Taint taint = taints.get(i);
      String each = "%s[%d]".formatted(field, i);
      violations.invalidIf(
          !Labels.isKey(taint.getKey()),
          each + ".key",
          "\"%s\" is no label's key.",
          taint.getKey());
      violations.invalidIf(
          !Labels.isValue(taint.getValue()), each + ".value", "is no label's value.");
      switch (taint.getEffect()) {
        case NO_SCHEDULE, PREFER_NO_SCHEDULE, NO_EXECUTE ->
            violations.invalidIf(
                !seen.add(Map.entry(taint.getKey(), taint.getEffect())),
                each,
                "has the key and the effect of another.");
        case TAINT_EFFECT_UNSPECIFIED -> violations.required(each + ".effect");
        case UNRECOGNIZED ->
            violations.invalid(
                each + ".effect", "is none of NO_SCHEDULE, PREFER_NO_SCHEDULE, NO_EXECUTE.");
      }
    }
  }

  NodeSpec applyTo(NodeSpec before) {
    NodeSpec.Builder after = before.toBuilder();
    for (Field field : fields) {
      switch (field) {
        case CORDONED -> after.setCordoned(wanted.getCordoned());
        case LABELS -> after.clearLabels().putAllLabels(wanted.getLabelsMap());
        case TAINTS -> after.clearTaints().addAllTaints(wanted.getTaintsList());
        case DRAIN -> {
          after.clearDrain();
          if (wanted.hasDrain()) {
            after.setDrain(wanted.getDrain());
          }
        }
      }
    }
    return after.build();
  }
}
