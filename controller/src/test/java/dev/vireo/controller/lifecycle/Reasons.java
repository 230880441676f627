package dev.vireo.controller.lifecycle;

/** The tables of conditions and reasons, as {@code LIFECYCLE.md} has them. */
final class Reasons {
  private Reasons() {}

  static String toMarkdown() {
    StringBuilder tables = new StringBuilder("| condition | TRUE when |\n|---|---|\n");
    for (ConditionType type : ConditionType.values()) {
      tables.append("| `%s` | %s |\n".formatted(type.apiName(), type.meaning()));
    }
    tables.append("\n| reason | of |\n|---|---|\n");
    for (ConditionReason reason : ConditionReason.values()) {
      tables.append("| `%s` | %s |\n".formatted(reason.apiName(), reason.meaning()));
    }
    return tables.toString();
  }
}
