package dev.vireo.worker.time;

import java.time.Duration;

/**
 * How fast one may go on: so many at once, and then one each interval (a leaky bucket, by the time
 * at which it will have run empty). To be used by one thread at a time.
 */
public final class Pace {
  private final Time time;
  private final long intervalNanos;
  private final long burstNanos;
  private long next;

  /**
   * @param interval between two, once there were so many at once
   */
  public Pace(Time time, Duration interval, int burst) {
    this.time = time;
    this.intervalNanos = interval.toNanos();
    this.burstNanos = intervalNanos * burst;
    this.next = time.nanos() - burstNanos;
  }

  /** One more: how long that has to wait. */
  public Duration take() {
    long now = settle();
    next += intervalNanos;
    return Duration.ofNanos(Math.max(0, next - now));
  }

  /** One more, if it does not have to wait. */
  public boolean tryTake() {
    if (next + intervalNanos - settle() > 0) {
      return false;
    }
    next += intervalNanos;
    return true;
  }

  /** What was not taken is not saved for later. */
  private long settle() {
    long now = time.nanos();
    if (next - (now - burstNanos) < 0) {
      next = now - burstNanos;
    }
    return now;
  }
}
