package dev.vireo.controller.reconcile;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.controller.time.TimeSource;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

final class CoalescerTest {
  private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
  private final List<String> handled = new CopyOnWriteArrayList<>();
  private final Semaphore mayFinish = new Semaphore(0);
  private final CountDownLatch begun = new CountDownLatch(1);

  @AfterEach
  void close() {
    mayFinish.release(100);
    threads.close();
  }

  private Coalescer<String, String> coalescer(Duration patience) {
    return new Coalescer<>(
        (key, word) -> {
          begun.countDown();
          mayFinish.acquireUninterruptibly();
          handled.add(key + word);
        },
        word -> word.equals("progress"),
        patience,
        TimeSource.system(),
        threads);
  }

  @Test
  void onlyTheLastOfWhatCameMeanwhileIsHandled() throws Exception {
    Coalescer<String, String> coalescer = coalescer(Duration.ZERO);
    coalescer.submit("a", "1");
    begun.await();
    coalescer.submit("a", "2");
    coalescer.submit("a", "3");
    mayFinish.release(2);

    await().until(() -> handled.equals(List.of("a1", "a3")));
  }

  @Test
  void oneKeyDoesNotWaitForAnother() throws Exception {
    Coalescer<String, String> coalescer =
        new Coalescer<>(
            (key, word) -> {
              if (key.equals("slow")) {
                mayFinish.acquireUninterruptibly();
              }
              handled.add(key + word);
            },
            _ -> false,
            Duration.ZERO,
            TimeSource.system(),
            threads);
    coalescer.submit("slow", "1");
    coalescer.submit("quick", "1");

    await().until(() -> handled.equals(List.of("quick1")));
  }

  @Test
  void aPatientWordGivesWayToABetterOne() {
    mayFinish.release(100);
    Coalescer<String, String> coalescer = coalescer(Duration.ofHours(1));
    coalescer.submit("a", "progress");
    coalescer.submit("a", "done");

    await().until(() -> handled.equals(List.of("adone")));
  }

  @Test
  void aPatientWordIsHandledWhenNothingBetterComes() {
    mayFinish.release(100);
    coalescer(Duration.ofMillis(10)).submit("a", "progress");

    await().until(() -> handled.equals(List.of("aprogress")));
  }

  @Test
  void afterTheLastWordAKeyBeginsAnew() {
    mayFinish.release(100);
    Coalescer<String, String> coalescer = coalescer(Duration.ZERO);
    coalescer.submit("a", "1");
    await().until(() -> handled.size() == 1);
    coalescer.submit("a", "2");

    await().until(() -> handled.equals(List.of("a1", "a2")));
  }

  @Test
  void aWordHandedInAgainIsHandledAgainUnlessANewerOneCame() {
    CopyOnWriteArrayList<String> tries = new CopyOnWriteArrayList<>();
    Resubmitting resubmitting = new Resubmitting(tries);
    resubmitting.coalescer.submit("a", "1");

    await().until(() -> tries.equals(List.of("1", "1")));
    assertTrue(tries.size() <= 2);
    assertEquals(List.of("1", "1"), tries);
  }

  /** Fails at its first try. */
  private final class Resubmitting {
    private final List<String> tries;
    private final Coalescer<String, String> coalescer;

    Resubmitting(List<String> tries) {
      this.tries = tries;
      this.coalescer =
          new Coalescer<>(this::handle, _ -> false, Duration.ZERO, TimeSource.system(), threads);
    }

    private void handle(String key, String word) {
      tries.add(word);
      if (tries.size() == 1) {
        coalescer.resubmit(key, word);
      }
    }
  }
}
