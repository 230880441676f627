package dev.vireo.controller.api;

import dev.vireo.controller.microvm.MicroVmName;
import dev.vireo.proto.v1.Gang;
import dev.vireo.proto.v1.LabelExpression;
import dev.vireo.proto.v1.LabelExpression.Operator;
import dev.vireo.proto.v1.NodePreference;
import dev.vireo.proto.v1.PeerTerm;
import dev.vireo.proto.v1.Placement;
import dev.vireo.proto.v1.Preemption;
import dev.vireo.proto.v1.TaintEffect;
import dev.vireo.proto.v1.Toleration;
import dev.vireo.proto.v1.TopologySpread;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;

/** What can be said of where a microVM may go. */
final class PlacementValidator {
  static final int MOST_TERMS = 16;
  static final int MOST_VALUES = 64;
  static final int MAX_WEIGHT = 100;
  static final int MAX_PRIORITY = 1_000;
  static final int MAX_GANG_SIZE = 256;

  private static final String FIELD = "spec.placement.";

  private final Violations violations;

  private PlacementValidator(Violations violations) {
    this.violations = violations;
  }

  static void validate(Placement placement, Violations violations) {
    new PlacementValidator(violations).validate(placement);
  }

  private void validate(Placement placement) {
    Labels.validate(placement.getNodeSelectorMap(), FIELD + "node_selector", violations);
    each("node_required", placement.getNodeRequiredList(), this::validate);
    each("node_preferred", placement.getNodePreferredList(), this::validate);
    each("tolerations", placement.getTolerationsList(), this::validate);
    each("affinity", placement.getAffinityList(), this::validate);
    each("anti_affinity", placement.getAntiAffinityList(), this::validate);
    each("spread", placement.getSpreadList(), this::validate);
    violations.invalidIf(
        placement.getPreemption() == Preemption.UNRECOGNIZED,
        FIELD + "preemption",
        "is none of PREEMPT_LOWER_PRIORITY, PREEMPT_NEVER.");
    if (placement.hasGang()) {
      validate(placement.getGang());
    }
    violations.invalidIf(
        Math.abs((long) placement.getPriority()) > MAX_PRIORITY,
        FIELD + "priority",
        "is %d; -%d to %d.",
        placement.getPriority(),
        MAX_PRIORITY,
        MAX_PRIORITY);
  }

  private void validate(Gang gang) {
    violations.invalidIf(
        !MicroVmName.isId(gang.getName()),
        FIELD + "gang.name",
        "must match %s.",
        MicroVmName.ID_PATTERN);
    long size = Integer.toUnsignedLong(gang.getSize());
    violations.invalidIf(
        size < 2 || size > MAX_GANG_SIZE,
        FIELD + "gang.size",
        "is %d; 2 to %d.",
        size,
        MAX_GANG_SIZE);
  }

  private <T> void each(String name, List<T> terms, BiConsumer<String, T> validator) {
    violations.invalidIf(
        terms.size() > MOST_TERMS,
        FIELD + name,
        "has %d entries; at most %d.",
        terms.size(),
        MOST_TERMS);
    for (int i = 0; i < Math.min(terms.size(), MOST_TERMS); i++) {
      validator.accept("%s%s[%d]".formatted(FIELD, name, i), terms.get(i));
    }
  }

  private void validate(String field, LabelExpression expression) {
    validateKey(field + ".key", expression.getKey());
    int values = expression.getValuesCount();
    switch (expression.getOperator()) {
      case IN, NOT_IN ->
          violations.invalidIf(
              values == 0 || values > MOST_VALUES,
              field + ".values",
              "has %d entries; %s takes 1 to %d.",
              values,
              expression.getOperator(),
              MOST_VALUES);
      case EXISTS, DOES_NOT_EXIST ->
          violations.invalidIf(
              values > 0,
              field + ".values",
              "has %d entries; %s takes none.",
              values,
              expression.getOperator());
      case OPERATOR_UNSPECIFIED -> violations.required(field + ".operator");
      case UNRECOGNIZED ->
          violations.invalid(
              field + ".operator",
              "is none of %s, %s, %s, %s."
                  .formatted(
                      Operator.IN, Operator.NOT_IN, Operator.EXISTS, Operator.DOES_NOT_EXIST));
    }
    expression
        .getValuesList()
        .forEach(value ->
            violations.invalidIf(
                !Labels.isValue(value), field + ".values", "\"%s\" is no label's value.", value));
  }

  private void validate(String field, NodePreference preference) {
    validate(field + ".expression", preference.getExpression());
    long weight = Integer.toUnsignedLong(preference.getWeight());
    violations.invalidIf(
        weight < 1 || weight > MAX_WEIGHT,
        field + ".weight",
        "is %d; 1 to %d.",
        weight,
        MAX_WEIGHT);
  }

  private void validate(String field, Toleration toleration) {
    if (!toleration.getKey().isEmpty()) {
      validateKey(field + ".key", toleration.getKey());
    }
    violations.invalidIf(
        !Labels.isValue(toleration.getValue()), field + ".value", "is no label's value.");
    violations.invalidIf(
        toleration.getEffect() == TaintEffect.UNRECOGNIZED,
        field + ".effect",
        "is none of NO_SCHEDULE, PREFER_NO_SCHEDULE, NO_EXECUTE.");
  }

  private void validate(String field, PeerTerm term) {
    validatePeers(field, term.getLabelsMap(), term.getTopologyKey());
  }

  private void validate(String field, TopologySpread spread) {
    validatePeers(field, spread.getLabelsMap(), spread.getTopologyKey());
    violations.invalidIf(
        spread.getMaxSkew() < 1,
        field + ".max_skew",
        "is %s; at least 1.",
        Integer.toUnsignedString(spread.getMaxSkew()));
  }

  private void validatePeers(String field, Map<String, String> labels, String topologyKey) {
    if (labels.isEmpty()) {
      violations.required(field + ".labels");
    }
    Labels.validate(labels, field + ".labels", violations);
    validateKey(field + ".topology_key", topologyKey);
  }

  private void validateKey(String field, String key) {
    if (key.isEmpty()) {
      violations.required(field);
    } else {
      violations.invalidIf(!Labels.isKey(key), field, "\"%s\" is no label's key.", key);
    }
  }
}
