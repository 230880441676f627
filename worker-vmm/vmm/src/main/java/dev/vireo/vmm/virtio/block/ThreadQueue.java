package dev.vireo.vmm.virtio.block;

import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.WorkerQueue;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.QueueWorker;
import dev.vireo.vmm.virtio.queue.Virtqueue;

/** A queue served one request at a time. */
final class ThreadQueue extends WorkerQueue {
  private final Disk disk;

  ThreadQueue(String name, Disk disk, QueueConnection connection) {
    super(name, connection);
    this.disk = disk;
  }

  @Override
  protected QueueWorker.Handler handler(Virtqueue queue, Activation activation) {
    return new BlockRequests(
        disk,
        activation.features(),
        new ImmediateTransfers(disk.file(), activation.memory(), queue.size()));
  }
}
