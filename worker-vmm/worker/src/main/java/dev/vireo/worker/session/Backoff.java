package dev.vireo.worker.session;

import java.time.Duration;
import java.util.random.RandomGenerator;

/**
 * Waiting times between attempts: doubling from {@code first} to {@code cap}, each drawn evenly
 * from the upper half of its range, so that many nodes that lost one controller do not return as
 * one.
 */
public final class Backoff {
  private final Duration first;
  private final Duration cap;
  private final RandomGenerator random;
  private int failures;

  public Backoff(Duration first, Duration cap, RandomGenerator random) {
    this.first = first;
    this.cap = cap;
    this.random = random;
  }

  /** How long to wait now. Each call counts as one more failure. */
  public Duration next() {
    long ceiling = Math.min(cap.toMillis(), first.toMillis() << Math.min(failures, 30));
    failures++;
    return Duration.ofMillis(ceiling - (long) (random.nextDouble() * ceiling / 2));
  }

  /** It worked: begin from the first again. */
  public void reset() {
    failures = 0;
  }
}
