package dev.vireo.vmm.virtio.queue;

import dev.vireo.linux.EventFd;

/**
 * What belongs to a queue for as long as its device exists, whichever driver uses it.
 *
 * @param notifier written by the driver's notifications; blocking
 * @param counters of what happens on the queue
 */
public record QueueConnection(EventFd notifier, QueueCounters counters) {
  /**
   * Interrupts the driver if chains were returned since it was last asked, and it wants to know.
   */
  public void interruptIfWanted(Virtqueue queue, QueueSignals signals) {
    if (!queue.hasNews()) {
      return;
    }
    if (queue.interruptWanted()) {
      counters.interrupted();
      signals.usedBuffers();
    } else {
      counters.interruptSuppressed();
    }
  }
}
