package dev.vireo.bench;

import java.time.Duration;

/**
 * How much {@code vireo bench devices} measures.
 *
 * @param rounds times each workload is run on each machine; medians count
 * @param time of each such run
 * @param idleVmms VMMs alive at once for the memory figure, of each kind
 */
record DevicesPlan(int rounds, Duration time, int idleVmms) {
  static final DevicesPlan FULL = new DevicesPlan(5, Duration.ofSeconds(1), 20);

  /** Shows that everything runs, on a machine however slow. What it measures means nothing. */
  static final DevicesPlan SMOKE = new DevicesPlan(1, Duration.ofMillis(100), 2);

  static final DevicesPlan QUICK = new DevicesPlan(3, Duration.ofMillis(200), 20);
}
