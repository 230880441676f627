package dev.vireo.vmm.virtio.block;

import static java.util.Objects.requireNonNull;

import dev.vireo.catalog.BackEnd;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.QueueWorker;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** A virtio-blk device on a raw file: one queue, served by one thread (VIRTIO 1.2, section 5.2). */
public final class BlockDevice implements VirtioDevice {
  /** Feature bits (5.2.3). */
  static final long SEG_MAX = 1L << 2;

  static final long READ_ONLY = 1L << 5;
  static final long FLUSH = 1L << 9;

  private static final int QUEUE_SIZE = 256;
  // 5.2.4: struct virtio_blk_config { le64 capacity; le32 size_max; le32 seg_max; … }
  private static final int CONFIG_LENGTH = 16;
  private static final int CONFIG_CAPACITY = 0;
  private static final int CONFIG_SEG_MAX = 12;

  private final String id;
  private final RawFile file;
  private final boolean readOnly;
  private final byte[] config;
  private final EnumCounters<BlockEvent> counters = new EnumCounters<>(BlockEvent.class);
  private @Nullable QueueConnection connection;
  private @Nullable QueueWorker worker;

  /**
   * @param id the guest can ask for its first 20 bytes
   * @param file closed with this device
   */
  public BlockDevice(String id, RawFile file, boolean readOnly) {
    this.id = id;
    this.file = file;
    this.readOnly = readOnly;
    this.config =
        ByteBuffer.allocate(CONFIG_LENGTH)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(CONFIG_CAPACITY, file.capacityBytes() / BlockRequests.SECTOR_BYTES)
            // Header and status take a descriptor each, and a chain has no more than the queue's
            // size.
            .putInt(CONFIG_SEG_MAX, QUEUE_SIZE - 2)
            .array();
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
    return Virtqueue.FEATURES | SEG_MAX | FLUSH | (readOnly ? READ_ONLY : 0);
  }

  @Override
  public List<Integer> queueSizes() {
    return List.of(QUEUE_SIZE);
  }

  @Override
  public int configLength() {
    return CONFIG_LENGTH;
  }

  @Override
  public byte readConfig(int offset) {
    return config[offset];
  }

  @Override
  public void connect(List<QueueConnection> queues) {
    connection = queues.getFirst();
  }

  @Override
  public void activate(Activation activation) {
    activation.queues().getFirst().ifPresent(queue -> serve(queue, activation));
  }

  private void serve(Virtqueue queue, Activation activation) {
    if (worker == null) {
      worker = new QueueWorker("blk " + id, requireNonNull(connection, "not connected"));
    }
    BlockRequests requests =
        new BlockRequests(
            file,
            Arrays.copyOf(id.getBytes(StandardCharsets.UTF_8), BlockRequests.ID_BYTES),
            readOnly,
            !activation.has(FLUSH),
            counters,
            activation.memory(),
            queue.size());
    worker.start(queue, activation.memory(), activation.signals(), requests);
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
    file.close();
  }
}
