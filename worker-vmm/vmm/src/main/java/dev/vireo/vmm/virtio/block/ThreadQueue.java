package dev.vireo.vmm.virtio.block;

import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.QueueWorker;
import dev.vireo.vmm.virtio.queue.Virtqueue;

/** A queue served one request at a time. */
final class ThreadQueue implements DiskQueue {
  private final Disk disk;
  private final QueueWorker worker;

  ThreadQueue(String name, Disk disk, QueueConnection connection) {
    this.disk = disk;
    this.worker = new QueueWorker(name, connection);
  }

  @Override
  public void start(Virtqueue queue, Activation activation) {
    Transfers transfers = new ImmediateTransfers(disk.file(), activation.memory(), queue.size());
    worker.start(
        queue,
        activation.memory(),
        activation.signals(),
        new BlockRequests(disk, activation.features(), transfers));
  }

  @Override
  public void stop() {
    worker.stop();
  }

  @Override
  public void close() {
    worker.close();
  }
}
