package dev.vireo.vmm.virtio.queue;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;

class ThreadsTest {
  @Test
  void anInterruptIsKeptAndNoReasonToLeaveEarly() throws InterruptedException {
    var mayEnd = new CountDownLatch(1);
    Thread serving =
        Thread.ofPlatform()
            .start(() -> {
              try {
                mayEnd.await();
              } catch (InterruptedException e) {
                throw new AssertionError(e);
              }
            });
    var wasInterrupted = new AtomicBoolean();
    Thread closing =
        Thread.ofPlatform()
            .start(() -> {
              Threads.awaitEnd(serving);
              wasInterrupted.set(Thread.currentThread().isInterrupted());
            });
    closing.interrupt();
    await().until(() -> !closing.isInterrupted() && closing.getState() == Thread.State.WAITING);
    assertTrue(closing.isAlive());

    mayEnd.countDown();
    closing.join();

    assertFalse(serving.isAlive());
    assertTrue(wasInterrupted.get());
  }
}
