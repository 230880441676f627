package dev.vireo.controller.testing;

import dev.vireo.controller.time.TimeSource;
import java.time.Duration;
import java.time.Instant;

/** A clock that stands still until it is moved. */
public final class ManualTime implements TimeSource {
  private volatile Instant now = Instant.parse("2026-01-01T00:00:00Z");

  @Override
  public Instant now() {
    return now;
  }

  @Override
  public long nanoTime() {
    return Duration.between(Instant.EPOCH, now).toNanos();
  }

  public void advance(Duration duration) {
    now = now.plus(duration);
  }
}
