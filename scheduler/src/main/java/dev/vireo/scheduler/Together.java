package dev.vireo.scheduler;

import java.util.Map;

/** Where all microVMs of a gang go, or why none goes anywhere now. */
public sealed interface Together {
  /**
   * All have a node, and their room there.
   *
   * @param nodes by uid
   */
  record Placed(Map<String, String> nodes) implements Together {
    public Placed {
      nodes = Map.copyOf(nodes);
    }
  }

  /**
   * One has none, once those before it have theirs; so nothing is reserved.
   *
   * @param uid its own
   */
  record Unplaceable(String uid, Explanation explanation) implements Together {}
}
