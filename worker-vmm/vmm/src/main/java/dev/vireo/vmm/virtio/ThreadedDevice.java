package dev.vireo.vmm.virtio;

import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A device that serves each queue by itself, with a {@link QueueServer} that is made when a driver
 * first has the queue ready, and outlives resets.
 */
public abstract class ThreadedDevice implements VirtioDevice {
  private List<QueueConnection> connections = List.of();
  private @Nullable QueueServer[] servers = {};

  /** Makes what serves a queue. */
  protected abstract QueueServer newServer(int index, QueueConnection connection);

  @Override
  public void connect(List<QueueConnection> queues) {
    connections = queues;
    servers = new QueueServer[queues.size()];
  }

  @Override
  public void activate(Activation activation) {
    activation.startQueues(this);
  }

  @Override
  public void startQueue(int index, Virtqueue queue, Activation activation) {
    server(index).start(queue, activation);
  }

  /** What serves a queue, made if there is none yet. */
  protected final QueueServer server(int index) {
    QueueServer server = servers[index];
    if (server == null) {
      server = newServer(index, connections.get(index));
      servers[index] = server;
    }
    return server;
  }

  @Override
  public void stopQueue(int index) {
    QueueServer server = servers[index];
    if (server != null) {
      server.stop();
    }
  }

  @Override
  public void deactivate() {
    for (int index = 0; index < servers.length; index++) {
      stopQueue(index);
    }
  }

  @Override
  public void close() {
    for (QueueServer server : servers) {
      if (server != null) {
        server.close();
      }
    }
  }
}
