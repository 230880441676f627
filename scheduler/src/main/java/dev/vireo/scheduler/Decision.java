package dev.vireo.scheduler;

import java.util.Comparator;

/** Where a microVM goes, or why it goes nowhere now. */
public sealed interface Decision {
  /**
   * The best of the nodes that can take it.
   *
   * @param score 0 (worst) to 1
   */
  record Placed(String nodeId, double score) implements Decision {
    /** Of equals, the first by id. */
    public static final Comparator<Placed> BEST_FIRST =
        Comparator.comparingDouble(Placed::score).reversed().thenComparing(Placed::nodeId);
  }

  /** No node can take it now. */
  record Unplaceable(Explanation explanation) implements Decision {}
}
