package dev.vireo.scheduler;

/**
 * What a microVM asks for, or a node has.
 *
 * @param cpuMilli thousandths of a CPU
 * @param memoryMib guest memory in MiB
 */
public record Resources(long cpuMilli, long memoryMib) {
  public static final Resources NONE = new Resources(0, 0);

  public Resources plus(Resources other) {
    return new Resources(
        Math.addExact(cpuMilli, other.cpuMilli), Math.addExact(memoryMib, other.memoryMib));
  }

  /** Whether that much holds this much, of each. */
  public boolean fits(Resources capacity) {
    return cpuMilli <= capacity.cpuMilli && memoryMib <= capacity.memoryMib;
  }

  /** May be negative: a node's capacity can shrink below what it was promised. */
  public Resources minus(Resources other) {
    return new Resources(
        Math.subtractExact(cpuMilli, other.cpuMilli),
        Math.subtractExact(memoryMib, other.memoryMib));
  }
}
