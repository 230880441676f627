package dev.vireo.bench;

import java.time.Duration;

/**
 * How much a run measures.
 *
 * @param bootSamples microVMs created one after the other for the latencies
 * @param bootInterval from one such create to the next: what a worker needs to refill its pool
 * @param idleVmms VMMs alive at once for the memory figure, of each kind
 * @param readRounds times each combination of depth and machine is run; the median counts
 * @param readTime of each such run
 * @param burst microVMs created as fast as the controller takes them
 */
record BenchPlan(
    int bootSamples,
    Duration bootInterval,
    int idleVmms,
    int readRounds,
    Duration readTime,
    int burst) {
  static final BenchPlan FULL =
      new BenchPlan(200, Duration.ofMillis(250), 20, 7, Duration.ofSeconds(2), 200);
  static final BenchPlan QUICK =
      new BenchPlan(40, Duration.ofMillis(100), 20, 3, Duration.ofMillis(500), 60);
}
