package dev.vireo.controller.time;

import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Wall time for people and records, a steady clock for leases, and waiting: whoever waits for time
 * to pass does it here, so that a simulation can let it pass.
 */
public interface TimeSource {
  Instant now();

  /** Nanoseconds that only grow, from no particular moment. */
  long nanoTime();

  /** Blocks this thread for so long. */
  default void sleep(Duration duration) throws InterruptedException {
    Thread.sleep(duration);
  }

  /**
   * Blocks this thread until the condition is signalled or so much time has passed; or sooner, as
   * conditions do.
   *
   * @param lock the condition's, which the caller holds
   * @return nanoseconds that are left; 0 or less when the time has passed
   */
  @SuppressWarnings("WaitNotInLoop") // The caller has the loop.
  default long await(Lock lock, Condition condition, long nanos) throws InterruptedException {
    return condition.awaitNanos(nanos);
  }

  /** Blocks this thread until the future is complete, either way, or so much time has passed. */
  default void await(CompletableFuture<?> future, Duration most) throws InterruptedException {
    ReentrantLock lock = new ReentrantLock();
    Condition done = lock.newCondition();
    CompletableFuture<?> _ = future.whenComplete((_, _) -> signal(lock, done));
    lock.lockInterruptibly();
    try {
      long left = most.toNanos();
      while (!future.isDone() && left > 0) {
        left = await(lock, done, left);
      }
    } finally {
      lock.unlock();
    }
  }

  private static void signal(Lock lock, Condition condition) {
    lock.lock();
    try {
      condition.signalAll();
    } finally {
      lock.unlock();
    }
  }

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
