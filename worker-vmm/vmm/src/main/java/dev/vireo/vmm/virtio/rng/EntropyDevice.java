package dev.vireo.vmm.virtio.rng;

import static java.util.Objects.requireNonNull;

import dev.vireo.catalog.BackEnd;
import dev.vireo.vmm.backend.HostRandom;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.QueueWorker;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * A virtio-rng device: one queue, served by one thread, and no configuration space (VIRTIO 1.2,
 * section 5.4).
 */
public final class EntropyDevice implements VirtioDevice {
  /** A driver asks for the next bytes when it has used up the last: Linux has one request out. */
  private static final int QUEUE_SIZE = 64;

  private final String id;
  private final HostRandom random;
  private final RateLimiter limiter;
  private final EnumCounters<EntropyEvent> counters = new EnumCounters<>(EntropyEvent.class);
  private @Nullable QueueConnection connection;
  private @Nullable QueueWorker worker;

  /**
   * @param limiter of requests, and of the bytes that they bring
   */
  public EntropyDevice(String id, HostRandom random, RateLimiter limiter) {
    this.id = id;
    this.random = random;
    this.limiter = limiter;
  }

  @Override
  public BackEnd backEnd() {
    return BackEnd.RNG_HOST;
  }

  @Override
  public String id() {
    return id;
  }

  @Override
  public long features() {
    return Virtqueue.FEATURES | RING_RESET;
  }

  @Override
  public List<Integer> queueSizes() {
    return List.of(QUEUE_SIZE);
  }

  @Override
  public int configLength() {
    return 0;
  }

  @Override
  public byte readConfig(int offset) {
    throw new IndexOutOfBoundsException(offset);
  }

  @Override
  public void connect(List<QueueConnection> queues) {
    connection = queues.getFirst();
  }

  @Override
  public void activate(Activation activation) {
    activation.startQueues(this);
  }

  @Override
  public void startQueue(int index, Virtqueue queue, Activation activation) {
    if (worker == null) {
      worker = new QueueWorker("rng " + id, requireNonNull(connection, "not connected"));
    }
    worker.start(
        queue,
        activation.memory(),
        activation.signals(),
        new EntropyRequests(random, limiter, counters, activation.memory(), queue.size()));
  }

  @Override
  public void stopQueue(int index) {
    deactivate();
  }

  @Override
  public void deactivate() {
    if (worker != null) {
      worker.stop();
    }
  }

  @Override
  public Map<String, Long> counters() {
    Map<String, Long> result = new TreeMap<>();
    counters.putInto(result, "");
    return result;
  }

  @Override
  public void close() {
    if (worker != null) {
      worker.close();
    }
  }
}
