package dev.vireo.controller.time;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.Lock;
import org.junit.jupiter.api.Test;

class TimeSourceTest {
  private final CompletableFuture<Void> future = new CompletableFuture<>();
  private final List<Long> waits = new ArrayList<>();

  /** Whose waits end at once, after something has happened and so much time is left. */
  private TimeSource time(Runnable meanwhile, long left) {
    return new TimeSource() {
      @Override
      public Instant now() {
        return Instant.EPOCH;
      }

      @Override
      public long nanoTime() {
        return 0;
      }

      @Override
      public long await(Lock lock, Condition condition, long nanos) {
        waits.add(nanos);
        meanwhile.run();
        return left;
      }
    };
  }

  @Test
  void aFutureIsNotWaitedForWhenItIsComplete() throws Exception {
    future.completeExceptionally(new IllegalStateException());

    time(() -> {}, 0).await(future, Duration.ofNanos(9));

    assertEquals(List.of(), waits);
  }

  @Test
  void aFutureIsWaitedForAsLongAsThereIsTime() throws Exception {
    time(() -> {}, 0).await(future, Duration.ofNanos(9));

    assertEquals(List.of(9L), waits);
    assertFalse(future.isDone());
  }

  @Test
  void theWaitEndsWithTheFutureAndNotSooner() throws Exception {
    Runnable third =
        () -> {
          if (waits.size() == 3) {
            future.complete(null);
          }
        };

    time(third, 5).await(future, Duration.ofNanos(9));

    assertEquals(List.of(9L, 5L, 5L), waits);
  }

  @Test
  void aFutureThatCompletesWakesWhoWaits() throws Exception {
    CompletableFuture<Void> waiting = new CompletableFuture<>();
    TimeSource system = TimeSource.system();
    Thread completes =
        Thread.startVirtualThread(() -> {
          waiting.join();
          future.complete(null);
        });

    waiting.complete(null);
    system.await(future, Duration.ofDays(1));

    completes.join();
    assertTrue(future.isDone());
  }
}
