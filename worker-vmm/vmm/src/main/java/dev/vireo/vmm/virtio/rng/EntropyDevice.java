package dev.vireo.vmm.virtio.rng;

import dev.vireo.catalog.BackEnd;
import dev.vireo.vmm.backend.HostRandom;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.QueueServer;
import dev.vireo.vmm.virtio.ThreadedDevice;
import dev.vireo.vmm.virtio.WorkerQueue;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.QueueWorker;
import dev.vireo.vmm.virtio.queue.RequestKind;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * A virtio-rng device: one queue, served by one thread, and no configuration space (VIRTIO 1.2,
 * section 5.4).
 */
public final class EntropyDevice extends ThreadedDevice {
  /** A driver asks for the next bytes when it has used up the last: Linux has one request out. */
  private static final int QUEUE_SIZE = 64;

  private final String id;
  private final HostRandom random;
  private final RateLimiter limiter;
  private final EnumCounters<EntropyEvent> counters = new EnumCounters<>(EntropyEvent.class);

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
  public RequestKind requestKind(int queue) {
    return RequestKind.ENTROPY;
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
  protected QueueServer newServer(int index, QueueConnection connection) {
    return new WorkerQueue("rng " + id, connection) {
      @Override
      protected QueueWorker.Handler handler(Virtqueue queue, Activation activation) {
        return new EntropyRequests(random, limiter, counters, activation.memory(), queue.size());
      }
    };
  }

  @Override
  public Map<String, Long> counters() {
    Map<String, Long> result = new TreeMap<>();
    counters.putInto(result, "");
    return result;
  }
}
