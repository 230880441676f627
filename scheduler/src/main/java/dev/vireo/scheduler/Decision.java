package dev.vireo.scheduler;

/** Where a microVM goes, or why it goes nowhere now. */
public sealed interface Decision {
  /**
   * The best of the nodes that can take it.
   *
   * @param score 0 (worst) to 1
   */
  record Placed(String nodeId, double score) implements Decision {}

  /** No node can take it now. */
  record Unplaceable(Explanation explanation) implements Decision {}
}
