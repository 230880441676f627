package dev.vireo.linux.testing;

import java.time.Duration;

/**
 * How long tests wait for what a machine does, and how often they do what fails but rarely. Where
 * instructions are emulated it is so many times as long, and as rarely, as {@code
 * -Dvireo.test.patience} says.
 */
public final class Patience {
  private static final int FACTOR = Integer.getInteger("vireo.test.patience", 1);

  private Patience() {}

  /** So many seconds where nothing is emulated. */
  public static Duration ofSeconds(long seconds) {
    return Duration.ofSeconds(seconds * FACTOR);
  }

  /** So many times where nothing is emulated. */
  public static int repetitions(int times) {
    return times / FACTOR;
  }
}
