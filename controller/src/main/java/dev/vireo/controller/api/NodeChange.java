package dev.vireo.controller.api;

import dev.vireo.proto.v1.NodeSpec;
import dev.vireo.proto.v1.UpdateNodeRequest;
import java.util.EnumSet;
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
    }
    violations.throwIfAny();
    return new NodeChange(fields, wanted);
  }

  NodeSpec applyTo(NodeSpec before) {
    NodeSpec.Builder after = before.toBuilder();
    for (Field field : fields) {
      switch (field) {
        case CORDONED -> after.setCordoned(wanted.getCordoned());
        case LABELS -> after.clearLabels().putAllLabels(wanted.getLabelsMap());
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
