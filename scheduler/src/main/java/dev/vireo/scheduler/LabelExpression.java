package dev.vireo.scheduler;

import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * What the value of one of a node's labels has to be.
 *
 * @param values of {@link Operator#IN} and {@link Operator#NOT_IN}; otherwise none
 */
public record LabelExpression(String key, Operator operator, Set<String> values) {
  /** How a label is compared. A label that is not there is in no set. */
  public enum Operator {
    IN,
    NOT_IN,
    EXISTS,
    DOES_NOT_EXIST
  }

  public LabelExpression {
    values = Set.copyOf(values);
  }

  boolean matches(Map<String, String> labels) {
    String value = labels.get(key);
    return switch (operator) {
      case IN -> value != null && values.contains(value);
      case NOT_IN -> value == null || !values.contains(value);
      case EXISTS -> value != null;
      case DOES_NOT_EXIST -> value == null;
    };
  }

  /** As people write it: "zone in (a, b)". */
  @Override
  public String toString() {
    String set = "(%s)".formatted(String.join(", ", new TreeSet<>(values)));
    return switch (operator) {
      case IN -> key + " in " + set;
      case NOT_IN -> key + " not in " + set;
      case EXISTS -> key + " exists";
      case DOES_NOT_EXIST -> key + " does not exist";
    };
  }
}
