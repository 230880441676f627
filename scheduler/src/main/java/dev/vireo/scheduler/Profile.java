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

  /** 0 (worst) to 1, from the parts of CPU and memory in use once the microVM is placed. */
  abstract double rank(double cpuUse, double memoryUse);

  /** 0 (worst) to 1. */
  double score(Request request, Node node) {
    Resources used = node.allocated().plus(request.demand());
    double cpuUse = part(used.cpuMilli(), node.capacity().cpuMilli());
    double memoryUse = part(used.memoryMib(), node.capacity().memoryMib());
    double balance = 1 - Math.abs(cpuUse - memoryUse);
    double score = (1 - BALANCE_WEIGHT) * rank(cpuUse, memoryUse) + BALANCE_WEIGHT * balance;
    return node.emulated() ? score * EMULATED_FACTOR : score;
  }

  private static double part(long used, long capacity) {
    return capacity == 0 ? 1 : Math.clamp((double) used / capacity, 0.0, 1.0);
  }
}
