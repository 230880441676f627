package dev.vireo.controller.time;

import java.time.Clock;
import java.time.Instant;

/** Wall time for people and records, and a steady clock for leases. */
public interface TimeSource {
  Instant now();

  /** Nanoseconds that only grow, from no particular moment. */
  long nanoTime();

  /** The machine's own. */
  static TimeSource system() {
    Clock clock = Clock.systemUTC();
    return new TimeSource() {
      @Override
      public Instant now() {
        return clock.instant();
      }

      @Override
      public long nanoTime() {
        return System.nanoTime();
      }
    };
  }
}
