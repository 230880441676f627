package dev.vireo.vmm.virtio;

import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.QueueWorker;
import dev.vireo.vmm.virtio.queue.Virtqueue;

/** A queue whose chains are handled one after the other. */
public abstract class WorkerQueue implements QueueServer {
  private final QueueWorker worker;

  /**
   * @param name of its thread
   */
  protected WorkerQueue(String name, QueueConnection connection) {
    worker = new QueueWorker(name, connection);
  }

  /** What handles the chains of {@code queue}, for as long as this driver uses it. */
  protected abstract QueueWorker.Handler handler(Virtqueue queue, Activation activation);

  @Override
  public final void start(Virtqueue queue, Activation activation) {
    worker.start(queue, activation.memory(), activation.signals(), handler(queue, activation));
  }

  @Override
  public final void stop() {
    worker.stop();
  }

  @Override
  public final void close() {
    worker.close();
  }
}
