package dev.vireo.vmm.virtio.queue;

/**
 * A queue for as long as one driver uses it: for a device whose one thread serves several.
 *
 * @param ring where its chains are
 * @param connection to be counted and interrupted by
 */
public record LiveQueue(Virtqueue ring, QueueConnection connection) {
  /** As {@link Virtqueue#complete}, and counted. */
  public void complete(DescriptorChain chain, int written) {
    ring.complete(chain, written);
    connection.counters().requestDone();
  }

  /** As {@link QueueConnection#interruptIfWanted}. */
  public void interruptIfWanted(QueueSignals signals) {
    connection.interruptIfWanted(ring, signals);
  }
}
