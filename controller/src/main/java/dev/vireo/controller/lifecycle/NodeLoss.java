package dev.vireo.controller.lifecycle;

/** How a node was lost for good: its lease's end alone is no such loss. */
public enum NodeLoss {
  REPLACED(ConditionReason.NODE_REPLACED, "the worker of %s was replaced"),
  FENCED(ConditionReason.NODE_FENCED, "%s was fenced");

  private final ConditionReason reason;
  private final String message;

  NodeLoss(ConditionReason reason, String message) {
    this.reason = reason;
    this.message = message;
  }

  ConditionReason reason() {
    return reason;
  }

  String message(String node) {
    return message.formatted(node);
  }
}
