package dev.vireo.vmm.virtio.queue;

import java.util.concurrent.atomic.AtomicLong;

/**
 * What happened on a queue since the microVM started, resets included. Readable at any time from
 * any thread.
 */
public final class QueueCounters {
  private final AtomicLong notifications = new AtomicLong();
  private final AtomicLong interrupts = new AtomicLong();
  private final AtomicLong interruptsSuppressed = new AtomicLong();
  private final AtomicLong requests = new AtomicLong();

  /**
   * Times the driver's notifications woke the device; those that came while it was awake count as
   * one.
   */
  public long notifications() {
    return notifications.get();
  }

  /** Interrupts sent for used buffers. */
  public long interrupts() {
    return interrupts.get();
  }

  /** Times that buffers were returned and the driver did not want an interrupt for them. */
  public long interruptsSuppressed() {
    return interruptsSuppressed.get();
  }

  /** Chains returned. */
  public long requests() {
    return requests.get();
  }

  /** A notification woke the device. */
  public void notified() {
    notifications.incrementAndGet();
  }

  void interrupted() {
    interrupts.incrementAndGet();
  }

  void interruptSuppressed() {
    interruptsSuppressed.incrementAndGet();
  }

  /** A chain was returned. */
  public void requestDone() {
    requests.incrementAndGet();
  }
}
