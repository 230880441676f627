package dev.vireo.vmm.virtio.block;

import dev.vireo.catalog.BackEnd;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.QueueWorker;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A virtio-blk device on a raw file: each queue served by a thread (VIRTIO 1.2, section 5.2). */
public final class BlockDevice implements VirtioDevice {
  /** What may be asked for. */
  public static final int MAX_QUEUES = 16;

  private static final int QUEUE_SIZE = 256;

  private final String id;
  private final RawFile file;
  private final Settings settings;
  private final BlockOutcomes outcomes;
  private final long features;
  private final byte[] config;
  private List<QueueConnection> connections = List.of();
  private final @Nullable QueueWorker[] workers;

  /**
   * What a disk is like, whatever is on it.
   *
   * @param queues 1 to {@link #MAX_QUEUES}
   * @param limiter of requests and of the bytes that they move, for all queues together
   */
  public record Settings(boolean readOnly, int queues, RateLimiter limiter, DiskLog log) {
    /**
     * @throws IllegalArgumentException if there is no such number of queues
     */
    public Settings {
      if (queues < 1 || queues > MAX_QUEUES) {
        throw new IllegalArgumentException(queues + " queues");
      }
    }

    /** One queue and no limit. */
    public static Settings simple(boolean readOnly, DiskLog log) {
      return new Settings(readOnly, 1, RateLimiter.UNLIMITED, log);
    }
  }

  /**
   * @param id the guest can ask for its first 20 bytes
   * @param file closed with this device
   */
  public BlockDevice(String id, RawFile file, Settings settings) {
    this.id = id;
    this.file = file;
    this.settings = settings;
    this.outcomes = new BlockOutcomes(id, settings.log());
    this.features = features(file, settings);
    this.config = BlockConfiguration.of(file.geometry(), features, settings.queues(), QUEUE_SIZE);
    this.workers = new QueueWorker[settings.queues()];
  }

  private static long features(RawFile file, Settings settings) {
    long always =
        Virtqueue.FEATURES
            | BlockFeature.SEG_MAX
            | BlockFeature.BLK_SIZE
            | BlockFeature.FLUSH
            | BlockFeature.TOPOLOGY;
    long changes =
        settings.readOnly()
            ? BlockFeature.READ_ONLY
            : BlockFeature.WRITE_ZEROES | (file.geometry().discards() ? BlockFeature.DISCARD : 0);
    return always | changes | (settings.queues() == 1 ? 0 : BlockFeature.MQ);
  }

  @Override
  public BackEnd backEnd() {
    return BackEnd.BLK_FILE;
  }

  @Override
  public String id() {
    return id;
  }

  @Override
  public long features() {
    return features;
  }

  @Override
  public List<Integer> queueSizes() {
    return Collections.nCopies(settings.queues(), QUEUE_SIZE);
  }

  @Override
  public int configLength() {
    return BlockConfiguration.LENGTH;
  }

  @Override
  public byte readConfig(int offset) {
    return config[offset];
  }

  @Override
  public void connect(List<QueueConnection> queues) {
    connections = new ArrayList<>(queues);
  }

  /** A driver without MQ has the first queue alone (5.2.2). */
  @Override
  public void activate(Activation activation) {
    int queues = activation.has(BlockFeature.MQ) ? settings.queues() : 1;
    for (int i = 0; i < queues; i++) {
      Virtqueue queue = activation.queues().get(i).orElse(null);
      if (queue != null) {
        worker(i)
            .start(
                queue,
                activation.memory(),
                activation.signals(),
                requests(activation, queue.size()));
      }
    }
  }

  private QueueWorker worker(int index) {
    QueueWorker worker = workers[index];
    if (worker == null) {
      String name = "blk " + id + (index == 0 ? "" : " " + index);
      worker = new QueueWorker(name, connections.get(index));
      workers[index] = worker;
    }
    return worker;
  }

  private BlockRequests requests(Activation activation, int queueSize) {
    return new BlockRequests(
        file,
        Arrays.copyOf(id.getBytes(StandardCharsets.UTF_8), BlockRequests.ID_BYTES),
        settings.readOnly(),
        activation.features(),
        settings.limiter(),
        outcomes,
        activation.memory(),
        queueSize);
  }

  @Override
  public void stopQueue(int index) {
    QueueWorker worker = workers[index];
    if (worker != null) {
      worker.stop();
    }
  }

  @Override
  public void deactivate() {
    for (int i = 0; i < workers.length; i++) {
      stopQueue(i);
    }
  }

  @Override
  public Map<String, Long> counters() {
    return outcomes.counters();
  }

  @Override
  public void close() {
    for (QueueWorker worker : workers) {
      if (worker != null) {
        worker.close();
      }
    }
    file.close();
  }
}
