package dev.vireo.oci;

import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.LongSupplier;

/**
 * Ends a conversation in which nothing that was asked for has come for too long. Jib's own
 * time-outs are of a single read, and some are followed by ten more attempts.
 */
final class StallWatch implements AutoCloseable {
  private final ScheduledExecutorService timer =
      Executors.newSingleThreadScheduledExecutor(Thread.ofPlatform().daemon().factory());
  private final Duration limit;
  private final LongSupplier nanoTime;
  private final Runnable ending;
  private final AtomicInteger requests = new AtomicInteger();
  private volatile long alive;
  private volatile boolean stalled;

  /**
   * @param limit how long nothing may come
   * @param ending ends it, so that whoever waits for an answer gets an error; may be called again
   */
  StallWatch(Duration limit, LongSupplier nanoTime, Runnable ending) {
    this.limit = limit;
    this.nanoTime = nanoTime;
    this.ending = ending;
    this.alive = nanoTime.getAsLong();
    long period = Math.max(1, limit.toMillis() / 10);
    var _ = timer.scheduleWithFixedDelay(this::look, period, period, TimeUnit.MILLISECONDS);
  }

  /** Something is asked for, or more of it; what comes is waited for until {@link #end}. */
  void begin() {
    alive = nanoTime.getAsLong();
    requests.incrementAndGet();
  }

  /** The answer is whole, or not waited for just now. */
  void end() {
    requests.decrementAndGet();
  }

  /** Whether it was ended. */
  boolean hasStalled() {
    return stalled;
  }

  private void look() {
    long now = nanoTime.getAsLong();
    if (requests.get() > 0 && now - alive > limit.toNanos()) {
      stalled = true;
      // Again and again: what waits may open another connection.
      ending.run();
    }
  }

  @Override
  public void close() {
    timer.shutdownNow();
  }
}
