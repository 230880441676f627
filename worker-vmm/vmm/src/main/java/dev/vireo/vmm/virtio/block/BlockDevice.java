package dev.vireo.vmm.virtio.block;

import dev.vireo.catalog.BackEnd;
import dev.vireo.linux.IoUring;
import dev.vireo.linux.LinuxException;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.QueueServer;
import dev.vireo.vmm.virtio.ThreadedDevice;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.RequestDescription;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/** A virtio-blk device on a raw file: each queue served by a thread (VIRTIO 1.2, section 5.2). */
public final class BlockDevice extends ThreadedDevice {
  /** What may be asked for. */
  public static final int MAX_QUEUES = 16;

  static final int QUEUE_SIZE = 256;

  private final String id;
  private final RawFile file;
  private final Settings settings;
  private final BlockOutcomes outcomes;
  private final Disk disk;
  private final List<IoUring> rings;
  private final long features;
  private final byte[] config;

  /** How transfers are made. */
  public enum Engine {
    /** By io_uring past the page cache, where many at once gain something, else by a thread. */
    AUTO,
    THREAD,
    IO_URING
  }

  /**
   * What a disk is like, whatever is on it.
   *
   * @param queues 1 to {@link #MAX_QUEUES}
   * @param limiter of requests and of the bytes that they move, for all queues together
   */
  public record Settings(
      boolean readOnly, int queues, RateLimiter limiter, Engine engine, DiskLog log) {
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
      return new Settings(readOnly, 1, RateLimiter.UNLIMITED, Engine.THREAD, log);
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
    this.disk = new Disk(id, file, settings.readOnly(), settings.limiter(), outcomes);
    this.rings = wantsRings() ? makeRings() : List.of();
  }

  private boolean wantsRings() {
    return switch (settings.engine()) {
      case AUTO -> file.isDirect();
      case THREAD -> false;
      case IO_URING -> true;
    };
  }

  /** One for each queue, or none if the host does not let us. */
  private List<IoUring> makeRings() {
    List<IoUring> made = new ArrayList<>();
    try {
      for (int i = 0; i < settings.queues(); i++) {
        made.add(file.newRing(RingQueue.OPERATIONS));
      }
    } catch (LinuxException e) {
      made.forEach(IoUring::close);
      made.clear();
      settings.log().line("disk " + id + ": threads serve it, since " + e.getMessage());
    }
    return made;
  }

  private static long features(RawFile file, Settings settings) {
    long always =
        Virtqueue.FEATURES
            | RING_RESET
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
    return rings.isEmpty() ? BackEnd.BLK_FILE : BackEnd.BLK_IO_URING;
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
  public void describe(int queue, DescriptorChain chain, RequestDescription description) {
    BlockRequests.describe(chain, description);
  }

  @Override
  public int configLength() {
    return BlockConfiguration.LENGTH;
  }

  @Override
  public byte readConfig(int offset) {
    return config[offset];
  }

  /** A driver without MQ has the first queue alone (5.2.2). */
  @Override
  public void startQueue(int index, Virtqueue queue, Activation activation) {
    if (index == 0 || activation.has(BlockFeature.MQ)) {
      super.startQueue(index, queue, activation);
    }
  }

  @Override
  protected QueueServer newServer(int index, QueueConnection connection) {
    String name = "blk " + id + (index == 0 ? "" : " " + index);
    return rings.isEmpty()
        ? new ThreadQueue(name, disk, connection)
        : new RingQueue(name, disk, connection, rings.get(index));
  }

  @Override
  public Map<String, Long> counters() {
    return outcomes.counters();
  }

  @Override
  public Map<String, String> attributes() {
    return Map.of(
        "page_cache",
        file.isDirect() ? "no" : "yes",
        "block_bytes",
        Integer.toString(file.geometry().logicalBlockBytes()));
  }

  @Override
  public void close() {
    super.close();
    rings.forEach(IoUring::close);
    file.close();
  }
}
