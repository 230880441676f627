package dev.vireo.vmm.virtio.queue;

import static java.util.concurrent.TimeUnit.SECONDS;
import static org.awaitility.Awaitility.await;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Somebody who wants something of a device while its thread is in the middle of a turn, and should
 * have it before the next one.
 */
public final class Interloper {
  private final int turn;
  private final Runnable wish;
  private final CountDownLatch served = new CountDownLatch(1);
  private final AtomicInteger steps = new AtomicInteger();
  private volatile boolean late;

  /**
   * @param turn steps of a turn
   */
  public Interloper(int turn, Runnable wish) {
    this.turn = turn;
    this.wish = wish;
  }

  /** The device's thread does something, with the lock. */
  public void step() {
    int step = steps.incrementAndGet();
    if (step == 1) {
      Thread waiting =
          Thread.ofPlatform()
              .start(() -> {
                wish.run();
                served.countDown();
              });
      await()
          .until(() ->
              waiting.getState() == Thread.State.WAITING
                  || waiting.getState() == Thread.State.BLOCKED);
    } else if (step > turn && !late) {
      late = !isServed();
    }
  }

  private boolean isServed() {
    try {
      return served.await(5, SECONDS);
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  /** Whether it had what it wanted before the next turn, once there was one. */
  public boolean wasInTime() {
    await().until(() -> steps.get() > turn);
    return isServed() && !late;
  }
}
