package dev.vireo.vmm.virtio.queue;

import dev.vireo.vmm.memory.GuestMemory;
import org.jspecify.annotations.Nullable;

/**
 * A queue of a device whose one thread serves several, for as long as one driver uses that device.
 * It has a ring from {@link #start} to {@link #stop}, which may come in turn while the others go on
 * (VIRTIO 1.2, section 2.6.1), and holds one chain of it at a time. Without a ring there is nothing
 * to take. For one thread at a time.
 */
public final class LiveQueue {
  private final QueueConnection connection;
  private final GuestMemory memory;
  private DescriptorChain chain;
  private @Nullable Virtqueue ring;
  private boolean holding;

  /**
   * @param connection to be counted and interrupted by
   * @param memory where buffers are
   */
  public LiveQueue(QueueConnection connection, GuestMemory memory) {
    this.connection = connection;
    this.memory = memory;
    this.chain = new DescriptorChain(memory, 0);
  }

  /** Its chains are in this ring from now on. */
  public void start(Virtqueue newRing) {
    ring = newRing;
    chain = new DescriptorChain(memory, newRing.size());
    holding = false;
  }

  /** From now on the ring is neither read nor written; a chain that is held is forgotten. */
  public void stop() {
    ring = null;
    holding = false;
  }

  public boolean hasRing() {
    return ring != null;
  }

  /** As {@link Virtqueue#hasMore}. */
  public boolean hasMore() {
    return ring != null && ring.hasMore();
  }

  /** Whether a chain was taken and not yet returned. */
  public boolean isHolding() {
    return holding;
  }

  /** Takes the next chain, unless one is held; returns whether one is held now. */
  public boolean take() {
    if (!holding && ring != null) {
      holding = ring.pop(chain);
    }
    return holding;
  }

  /** The chain that is held. */
  public DescriptorChain chain() {
    return chain;
  }

  /**
   * Returns the chain that is held to the driver.
   *
   * @param written as for {@link Virtqueue#complete}
   */
  public void complete(int written) {
    if (ring == null || !holding) {
      throw new IllegalStateException("no chain is held");
    }
    ring.complete(chain, written);
    holding = false;
    connection.counters().requestDone();
  }

  /** As {@link Virtqueue#disableNotifications}. */
  public void disableNotifications() {
    if (ring != null) {
      ring.disableNotifications();
    }
  }

  /** As {@link Virtqueue#enableNotifications}. */
  public boolean enableNotifications() {
    return ring != null && ring.enableNotifications();
  }

  /** As {@link QueueConnection#interruptIfWanted}. */
  public void interruptIfWanted(QueueSignals signals) {
    if (ring != null) {
      connection.interruptIfWanted(ring, signals);
    }
  }
}
