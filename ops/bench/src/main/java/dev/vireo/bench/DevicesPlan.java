package dev.vireo.bench;

import java.time.Duration;

/**
 * How much {@code vireo bench devices} measures.
 *
 * @param rounds times each workload is run on each machine; medians count
 * @param time of each such run
 * @param everyPoint whether a device is loaded at each depth or size, or at the first alone
 * @param idleVmms VMMs alive at once for the memory figure, of each kind
 * @param only what is measured is named so, or begins so; all if empty
 */
record DevicesPlan(int rounds, Duration time, boolean everyPoint, int idleVmms, String only) {
  static final DevicesPlan FULL = new DevicesPlan(5, Duration.ofSeconds(1), true, 20, "");

  /** Shows that everything runs, on a machine however slow. What it measures means nothing. */
  static final DevicesPlan SMOKE = new DevicesPlan(1, Duration.ofMillis(100), false, 2, "");

  static final DevicesPlan QUICK = new DevicesPlan(3, Duration.ofMillis(200), true, 20, "");

  /** The same, of what begins with {@code name}. */
  DevicesPlan only(String name) {
    return new DevicesPlan(rounds, time, everyPoint, idleVmms, name);
  }

  boolean wants(String name) {
    return name.startsWith(only);
  }
}
