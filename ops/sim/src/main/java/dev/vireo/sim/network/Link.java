package dev.vireo.sim.network;

import java.time.Duration;
import java.util.random.RandomGenerator;

/**
 * What the way between two machines is like at the moment. Messages of one connection stay in
 * order, as TCP's do; those of different connections overtake each other.
 */
public final class Link {
  private static final long QUICK_NANOS = 1_000_000;
  private static final long SLOW_NANOS = 3_000_000_000L;
  private static final double SLOW = 0.02;
  private static final long NOTICED_QUICKLY_NANOS = 50_000_000;
  private static final long NOTICED_LATE_NANOS = 40_000_000_000L;

  private final RandomGenerator random;
  private boolean up = true;
  private double doubled;

  public Link(RandomGenerator random) {
    this.random = random;
  }

  public boolean isUp() {
    return up;
  }

  /** Whether anybody can dial. What connections there are is for who takes it down to cut. */
  public void setUp(boolean up) {
    this.up = up;
  }

  /** How many of a worker's reports, 0 to 1, come twice. */
  public void setDoubled(double share) {
    this.doubled = share;
  }

  boolean doubles() {
    return doubled > 0 && random.nextDouble() < doubled;
  }

  /** Of one message. */
  public Duration delay() {
    long most = random.nextDouble() < SLOW ? SLOW_NANOS : QUICK_NANOS;
    return Duration.ofNanos(random.nextLong(most));
  }

  /**
   * From the end of a connection to the moment that a side hears of it: by a RST, or by silence.
   */
  public Duration untilNoticed() {
    long most = random.nextBoolean() ? NOTICED_QUICKLY_NANOS : NOTICED_LATE_NANOS;
    return Duration.ofNanos(random.nextLong(most));
  }
}
