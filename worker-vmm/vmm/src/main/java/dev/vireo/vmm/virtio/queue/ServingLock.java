package dev.vireo.vmm.virtio.queue;

import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Held while a device's thread serves rings, a turn at a time: who gets it knows that nothing is in
 * flight. Who waits for it comes before the next turn, however much there is to do; out of a
 * monitor a thread that comes back at once keeps all others.
 */
public final class ServingLock implements AutoCloseable {
  private final ReentrantLock lock = new ReentrantLock(true);

  /** Waits for it; to be closed when done. */
  public ServingLock take() {
    lock.lock();
    return this;
  }

  /** For who holds it and waits for what a turn brings. */
  public Condition newCondition() {
    return lock.newCondition();
  }

  @Override
  public void close() {
    lock.unlock();
  }
}
