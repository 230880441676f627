package dev.vireo.vmm.virtio.queue;

import static dev.vireo.vmm.virtio.queue.GuestRing.BUFFERS;
import static dev.vireo.vmm.virtio.queue.GuestRing.WRITE;
import static java.util.concurrent.TimeUnit.SECONDS;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.EventFd;
import java.lang.invoke.VarHandle;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(30)
class QueueWorkerTest {
  private static final int SIZE = 8;
  private static final long WATCH_NANOS = 50_000;

  /** A driver that only remembers what it was told. */
  private static final class Signals implements QueueSignals {
    final AtomicInteger interrupts = new AtomicInteger();
    final AtomicReference<@Nullable Throwable> reset = new AtomicReference<>();

    @Override
    public void usedBuffers() {
      interrupts.incrementAndGet();
      synchronized (this) {
        notifyAll();
      }
    }

    synchronized void awaitMoreThan(int count) throws InterruptedException {
      while (interrupts.get() == count) {
        wait();
      }
    }

    @Override
    public void needsReset(Throwable cause) {
      reset.set(cause);
    }
  }

  private final GuestRing ring = new GuestRing(SIZE);
  private final EventFd notifier = EventFd.blocking();
  private final QueueCounters counters = new QueueCounters();
  private final Signals signals = new Signals();
  private final AtomicLong nanoTime = new AtomicLong();
  private QueueWorker worker = worker(0);

  private QueueWorker worker(long watchNanos) {
    return new QueueWorker(
        "test", new QueueConnection(notifier, counters), nanoTime::get, new Lookout(watchNanos));
  }

  /** Time stands still, so it watches until a test lets it pass. */
  private void watch() {
    worker.close();
    worker = worker(WATCH_NANOS);
  }

  @AfterEach
  void close() {
    worker.close();
    notifier.close();
  }

  private void start(QueueWorker.Handler handler) {
    Virtqueue queue = new Virtqueue(ring.memory(), ring.setup(), 0);
    worker.start(queue, ring.memory(), signals, handler);
  }

  private void offer(int head) {
    ring.descriptor(head, BUFFERS, 1, WRITE, 0).offer(head);
  }

  @Test
  void servesWhatTheDriverNotifiesOf() {
    start(chain -> 42);
    offer(3);
    notifier.signal();
    await().until(ring::hasUsed);
    assertEquals(new GuestRing.Used(3, 42), ring.takeUsed());
    await().until(() -> signals.interrupts.get() == 1);
    assertEquals(1, counters.requests());
    assertEquals(1, counters.interrupts());
  }

  @Test
  void servesWhatWasAvailableBeforeItStarted() {
    offer(0);
    start(chain -> 0);
    await().until(ring::hasUsed);
  }

  @Test
  void interruptsOnceForAllThatItReturnsQuickly() {
    for (int i = 0; i < SIZE; i++) {
      offer(i);
    }
    start(chain -> 0);
    await().until(() -> signals.interrupts.get() > 0);
    assertEquals(SIZE, ring.usedIndex());
    await().until(ring::notificationsWanted);
    assertEquals(1, signals.interrupts.get());
  }

  @Test
  void tellsOfASlowRequestBeforeTheNextOneIsDone() {
    CountDownLatch goOn = new CountDownLatch(1);
    offer(0);
    offer(1);
    start(chain -> chain.head() == 0 ? takeMicros(11) : awaitLatch(goOn));
    await().until(() -> signals.interrupts.get() == 1);
    assertEquals(1, ring.usedIndex());
    goOn.countDown();
    await().until(() -> signals.interrupts.get() == 2);
  }

  private int takeMicros(long micros) {
    nanoTime.addAndGet(micros * 1_000);
    return 0;
  }

  @Test
  void aDriverThatComesBackAtOnceNeedNotNotify() {
    watch();
    start(chain -> 0);
    offer(0);
    notifier.signal();
    await().until(ring::hasUsed);
    offer(1);
    await().until(() -> ring.usedIndex() == 2);
    assertFalse(ring.notificationsWanted());
    assertEquals(2, counters.requests());

    // Nothing comes; the worker may not have begun to watch when time first passes.
    await()
        .until(() -> {
          nanoTime.addAndGet(WATCH_NANOS);
          return ring.notificationsWanted();
        });
  }

  @Test
  void whileItWatchesARingItCanBeTakenAway() {
    watch();
    start(chain -> 0);
    offer(0);
    notifier.signal();
    await().until(ring::hasUsed);
    worker.stop();
    offer(1);
    assertEquals(1, ring.usedIndex());
  }

  @Test
  void aDeviceMayHaveItNotWatch() {
    watch();
    start(
        new QueueWorker.Handler() {
          @Override
          public int handle(DescriptorChain chain) {
            return 0;
          }

          @Override
          public boolean isWatched() {
            return false;
          }
        });
    offer(0);
    notifier.signal();
    await().until(() -> ring.hasUsed() && ring.notificationsWanted());
  }

  @Test
  void doesNotInterruptADriverThatDoesNotWantIt() {
    ring.noInterrupt(true);
    offer(0);
    start(chain -> 0);
    await().until(() -> counters.interruptsSuppressed() == 1);
    assertTrue(ring.hasUsed());
    assertEquals(0, signals.interrupts.get());
    assertEquals(0, counters.interrupts());
  }

  /**
   * A driver that notifies only when it is asked to, and sleeps until it is interrupted: one lost
   * signal, and both sleep for good.
   */
  @ParameterizedTest
  @CsvSource({"false, false", "false, true", "true, false", "true, true"})
  void losesNoNotificationAndNoInterrupt(boolean eventIndex, boolean watched)
      throws InterruptedException {
    if (watched) {
      watch();
    }
    long features = eventIndex ? Virtqueue.EVENT_IDX : 0;
    worker.start(
        new Virtqueue(ring.memory(), ring.setup(), features), ring.memory(), signals, chain -> 0);
    int rounds = watched ? 5_000 : 50_000; // Watching takes a processor from the driver.
    for (int offered = 0; offered < rounds; ) {
      ring.noInterrupt(!eventIndex);
      int before = offered;
      for (int i = 0; i <= before % 3; i++) {
        offer(offered++ % SIZE);
      }
      VarHandle.fullFence();
      boolean wanted =
          eventIndex
              ? Virtqueue.passes(ring.availableEvent(), offered & 0xffff, before & 0xffff)
              : ring.notificationsWanted();
      if (wanted) {
        notifier.signal();
      }
      nanoTime.addAndGet(watched ? offered % (2 * WATCH_NANOS) : 0);
      awaitUsed(offered, eventIndex);
    }
    assertTrue(
        watched || counters.interruptsSuppressed() > 0, "some of them it saw without an interrupt");
  }

  private void awaitUsed(int count, boolean eventIndex) throws InterruptedException {
    while (ring.usedIndex() != (count & 0xffff)) {
      int heard = signals.interrupts.get();
      int used = ring.usedIndex();
      ring.noInterrupt(false);
      if (eventIndex) {
        ring.usedEvent(used);
      }
      VarHandle.fullFence();
      // An index that was passed before it was asked for is not told of: Linux, too, looks for any
      // news.
      if (used != (count & 0xffff) && ring.usedIndex() == used) {
        signals.awaitMoreThan(heard);
      }
    }
  }

  @Test
  void wantsNoNotificationWhileItIsAtWork() throws InterruptedException {
    CountDownLatch busy = new CountDownLatch(1);
    CountDownLatch goOn = new CountDownLatch(1);
    offer(0);
    start(chain -> {
      busy.countDown();
      return awaitLatch(goOn);
    });
    busy.await();
    assertFalse(ring.notificationsWanted());
    offer(1); // no notification
    goOn.countDown();
    await().until(() -> ring.usedIndex() == 2);
    await().until(ring::notificationsWanted);
  }

  @Test
  void stopReturnsOnlyWhenNothingIsInFlight() throws InterruptedException {
    CountDownLatch busy = new CountDownLatch(1);
    CountDownLatch goOn = new CountDownLatch(1);
    offer(0);
    offer(1);
    start(chain -> {
      busy.countDown();
      return awaitLatch(goOn);
    });
    busy.await();
    Thread stopper = Thread.ofPlatform().start(worker::stop);
    await().until(() -> stopper.getState() == Thread.State.BLOCKED);
    assertEquals(0, ring.usedIndex());
    goOn.countDown();
    stopper.join();
    assertEquals(1, ring.usedIndex(), "what was in flight is returned, the next is not begun");
  }

  @Test
  void leavesTheRingAloneOnceItIsStopped() {
    start(chain -> 0);
    worker.stop();
    offer(0);
    notifier.signal();
    await().until(() -> counters.notifications() > 0);
    worker.stop(); // whatever the notification began has ended now
    assertEquals(0, ring.usedIndex());
    assertEquals(0, signals.interrupts.get());
  }

  @Test
  void servesAnotherRingAfterAStop() {
    start(chain -> 1);
    worker.stop();
    ring.clear();
    start(chain -> 2);
    offer(0);
    notifier.signal();
    await().until(ring::hasUsed);
    assertEquals(2, ring.takeUsed().written());
  }

  @Test
  void anIllegalRingNeedsAResetAndStopsTheService() {
    start(chain -> 0);
    ring.offer(SIZE);
    notifier.signal();
    await().until(() -> signals.reset.get() != null);
    assertInstanceOf(VirtqueueException.class, signals.reset.get());
    ring.moveIndexTo(0);
    offer(0);
    notifier.signal();
    await().until(() -> counters.notifications() >= 2);
    worker.stop();
    assertEquals(0, ring.usedIndex());
  }

  @Test
  void aDeviceThatFailsNeedsAResetAndCanBeStartedAgain() {
    IllegalStateException broken = new IllegalStateException("broken");
    start(chain -> {
      throw broken;
    });
    offer(0);
    notifier.signal();
    await().until(() -> signals.reset.get() != null);
    assertSame(broken, signals.reset.get());
    worker.stop();
    ring.clear();
    start(chain -> 0);
    offer(0);
    notifier.signal();
    await().until(ring::hasUsed);
  }

  /** A device whose rate is limited. */
  private static final class Limited implements QueueWorker.Handler {
    final AtomicLong waitNanos = new AtomicLong();
    final AtomicInteger asked = new AtomicInteger();
    private final long waitAfterEach;

    Limited(long waitAfterEach) {
      this.waitAfterEach = waitAfterEach;
    }

    @Override
    public int handle(DescriptorChain chain) {
      waitNanos.set(waitAfterEach);
      return 0;
    }

    @Override
    public long waitNanos() {
      asked.incrementAndGet();
      return waitNanos.get();
    }
  }

  @Test
  void leavesChainsInTheRingWhileTheRateIsLimitedAndTellsOfThoseBefore() {
    Limited limited = new Limited(1);
    offer(0);
    offer(1);
    start(limited);
    await().until(() -> limited.asked.get() > 4);
    assertEquals(1, ring.usedIndex());
    assertEquals(1, signals.interrupts.get());
    limited.waitNanos.set(0);
    await().until(() -> ring.usedIndex() == 2);
    await().until(() -> signals.interrupts.get() == 2);
  }

  @Test
  void stopsAndStartsAgainWhileTheRateIsLimited() {
    Limited limited = new Limited(Long.MAX_VALUE);
    offer(0);
    offer(1);
    start(limited);
    await().until(() -> limited.asked.get() > 1);
    worker.stop();
    assertEquals(1, ring.usedIndex());
    ring.clear();
    start(chain -> 7);
    offer(2);
    notifier.signal();
    await().until(ring::hasUsed);
    assertEquals(new GuestRing.Used(2, 7), ring.takeUsed());
  }

  @Test
  void closesWhileTheRateIsLimited() {
    Limited limited = new Limited(Long.MAX_VALUE);
    offer(0);
    offer(1);
    start(limited);
    await().until(() -> limited.asked.get() > 1);
    worker.close();
    assertEquals(1, ring.usedIndex());
  }

  @Test
  void closesWhileItWaits() {
    worker.close();
    worker.close();
    assertEquals(0, counters.notifications());
  }

  private static int awaitLatch(CountDownLatch latch) {
    try {
      if (!latch.await(20, SECONDS)) {
        throw new AssertionError("nobody let it go on");
      }
      return 0;
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }
}
