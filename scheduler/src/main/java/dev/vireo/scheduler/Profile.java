package dev.vireo.scheduler;

/** What makes one node better than another that can also take the microVM. */
public enum Profile {
  /** The emptiest node first: load is spread, and CPU and memory are used up evenly. */
  LEAST_ALLOCATED {
    @Override
    double rank(double cpuUse, double memoryUse) {
      return 1 - (cpuUse + memoryUse) / 2;
    }
  },
  /** The fullest node that still fits first: whole nodes stay free. */
  BIN_PACK {
    @Override
    double rank(double cpuUse, double memoryUse) {
      return (cpuUse + memoryUse) / 2;
    }
  };

  /** How much the evenness of CPU and memory use counts against {@link #rank}. */
  private static final double BALANCE_WEIGHT = 0.25;

  /** An emulated node comes after every other one: each of its instructions costs dozens. */
  private static final double EMULATED_FACTOR = 0.001;

  /**
   * 0 (worst) to 1, from the parts of CPU and memory in use once the microVM is placed. Monotone in
   * both, in the same direction.
   */
  abstract double rank(double cpuUse, double memoryUse);

  /**
   * 0 (worst) to 1.
   *
   * @param use of the node, once the microVM is placed
   */
  double score(Use use, NodeKind kind) {
    double balance = 1 - Math.abs(use.cpu() - use.memory());
    return weighted(rank(use.cpu(), use.memory()), balance, kind);
  }

  /** No node whose use is between these two, each in both parts, has a better score. */
  double bestScore(Use least, Use most, NodeKind kind) {
    double rank = Math.max(rank(least.cpu(), least.memory()), rank(most.cpu(), most.memory()));
    double gap = Math.max(0, Math.max(least.cpu() - most.memory(), least.memory() - most.cpu()));
    return weighted(rank, 1 - gap, kind);
  }

  private static double weighted(double rank, double balance, NodeKind kind) {
    return factor(kind) * ((1 - BALANCE_WEIGHT) * rank + BALANCE_WEIGHT * balance);
  }

  /** Of all that speaks for a node of this kind. */
  static double factor(NodeKind kind) {
    return kind.emulated() ? EMULATED_FACTOR : 1;
  }
}
