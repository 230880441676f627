package dev.vireo.worker.time;

import static java.util.concurrent.TimeUnit.NANOSECONDS;

import java.lang.System.Logger.Level;
import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;

/** The machine's time. One thread serves every alarm. */
public final class SystemTime implements Time, AutoCloseable {
  private static final System.Logger LOG = System.getLogger("worker");

  private final ScheduledThreadPoolExecutor executor =
      new ScheduledThreadPoolExecutor(
          1, task -> Thread.ofPlatform().name("timer").daemon().unstarted(task));

  public SystemTime() {
    executor.setRemoveOnCancelPolicy(true);
    executor.setExecuteExistingDelayedTasksAfterShutdownPolicy(false);
  }

  @Override
  public Instant instant() {
    return Instant.now();
  }

  @Override
  public long nanos() {
    return System.nanoTime();
  }

  @Override
  public Alarm after(Duration wait, Runnable task) {
    try {
      ScheduledFuture<?> scheduled =
          executor.schedule(() -> run(task), wait.toNanos(), NANOSECONDS);
      return () -> scheduled.cancel(false);
    } catch (RejectedExecutionException closed) {
      return () -> {};
    }
  }

  private static void run(Runnable task) {
    try {
      task.run();
    } catch (RuntimeException e) {
      LOG.log(Level.ERROR, "an alarm's task failed", e);
    }
  }

  /** No alarm goes off any more. */
  @Override
  public void close() {
    executor.shutdown();
  }
}
