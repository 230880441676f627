package dev.vireo.vmm.virtio.block;

import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.queue.Virtqueue;

/** What serves one queue of a disk, for as long as the disk exists. */
interface DiskQueue extends AutoCloseable {
  /** Serves {@code queue} from now on, what is already available in it too. */
  void start(Virtqueue queue, Activation activation);

  /** Returns once nothing is in flight, after which the ring is neither read nor written. */
  void stop();

  /** Stops, and ends its thread. */
  @Override
  void close();
}
