package dev.vireo.bench.cluster;

import java.time.Duration;

/**
 * How long others are waited for before something is taken to be wrong: so many times as long as
 * {@code -Dvireo.bench.patience} says, where a machine is slow.
 */
public final class Patience {
  private static final int FACTOR = Integer.getInteger("vireo.bench.patience", 1);

  private Patience() {}

  /** So many seconds on a machine that runs instructions itself. */
  public static Duration ofSeconds(long seconds) {
    return Duration.ofSeconds(seconds * FACTOR);
  }
}
