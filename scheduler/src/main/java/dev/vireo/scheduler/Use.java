package dev.vireo.scheduler;

/**
 * The parts of a node's CPU and memory that are promised.
 *
 * @param cpu 0 to 1
 * @param memory 0 to 1
 */
record Use(double cpu, double memory) {
  static Use of(Resources allocated, Resources capacity) {
    return new Use(
        part(allocated.cpuMilli(), capacity.cpuMilli()),
        part(allocated.memoryMib(), capacity.memoryMib()));
  }

  /** Both parts together, at most all there is. */
  Use plus(Use other) {
    return new Use(Math.min(1, cpu + other.cpu), Math.min(1, memory + other.memory));
  }

  private static double part(long used, long capacity) {
    return capacity == 0 ? 1 : Math.clamp((double) used / capacity, 0.0, 1.0);
  }
}
