package dev.vireo.linux;

import java.util.function.LongSupplier;

/**
 * CLOCK_MONOTONIC in nanoseconds, for those who take their time from a {@link LongSupplier}. A
 * class and not a method reference, whose class would be made at run time in every process.
 */
public final class MonotonicClock implements LongSupplier {
  public static final MonotonicClock INSTANCE = new MonotonicClock();

  private MonotonicClock() {}

  @Override
  public long getAsLong() {
    return System.nanoTime();
  }
}
