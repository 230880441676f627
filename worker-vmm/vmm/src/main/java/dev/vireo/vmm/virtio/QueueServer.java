package dev.vireo.vmm.virtio;

import dev.vireo.vmm.virtio.queue.Virtqueue;

/** What serves one queue of a device, on a thread of its own, for as long as the device exists. */
public interface QueueServer extends AutoCloseable {
  /** Serves {@code queue} from now on, what is already available in it too. */
  void start(Virtqueue queue, Activation activation);

  /** Returns once nothing is in flight, after which the ring is neither read nor written. */
  void stop();

  /** Stops, and ends its thread. */
  @Override
  void close();
}
