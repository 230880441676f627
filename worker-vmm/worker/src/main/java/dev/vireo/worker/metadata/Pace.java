package dev.vireo.worker.metadata;

import dev.vireo.worker.time.Time;
import java.time.Duration;

/**
 * How fast one may go on: so many at once, and then one each interval (a leaky bucket, by the time
 * at which it will have run empty). To be used by one thread at a time.
 */
final class Pace {
  private final Time time;
  private final long intervalNanos;
  private final long burstNanos;
  private long next;

  Pace(Time time, Duration interval, int burst) {
    this.time = time;
    this.intervalNanos = interval.toNanos();
    this.burstNanos = intervalNanos * burst;
    this.next = time.nanos() - burstNanos;
  }

  /** One more: how long that has to wait. */
  Duration take() {
    long now = time.nanos();
    if (next - (now - burstNanos) < 0) {
      next = now - burstNanos;
    }
    next += intervalNanos;
    return Duration.ofNanos(Math.max(0, next - now));
  }
}
