package dev.vireo.vmm.virtio.memory;

import static java.util.Objects.requireNonNull;

import dev.vireo.catalog.BackEnd;
import dev.vireo.vmm.memory.HotplugLayout;
import dev.vireo.vmm.memory.HotplugRegion;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.DriverSignals;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.QueueServer;
import dev.vireo.vmm.virtio.ThreadedDevice;
import dev.vireo.vmm.virtio.WorkerQueue;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.QueueWorker;
import dev.vireo.vmm.virtio.queue.RequestDescription;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * A virtio-mem device: the host says how much memory it would like the guest to have beyond its
 * RAM, and the driver plugs and unplugs as many blocks (VIRTIO 1.2, section 5.15). Which blocks are
 * plugged is the {@link HotplugRegion}'s, and no reset changes it.
 *
 * <p>Not offered is ACPI_PXM: a machine here has no NUMA nodes.
 */
public final class MemoryDevice extends ThreadedDevice {
  /** A driver has one request out at a time. */
  private static final int QUEUE_SIZE = 64;

  // 5.15.4: struct virtio_mem_config { le64 block_size; le16 node_id; u8 padding[6]; le64 addr;
  // le64 region_size; le64 usable_region_size; le64 plugged_size; le64 requested_size; }
  private static final int CONFIG_BLOCK_SIZE = 0;
  private static final int CONFIG_NODE_ID = 8;
  private static final int CONFIG_ADDR = 16;
  private static final int CONFIG_REGION_SIZE = 24;
  private static final int CONFIG_USABLE_REGION_SIZE = 32;
  private static final int CONFIG_PLUGGED_SIZE = 40;
  private static final int CONFIG_LENGTH = 56;

  private final String id;
  private final HotplugLayout layout;
  private final EnumCounters<MemoryEvent> counters = new EnumCounters<>(MemoryEvent.class);
  private final Runnable showRequested = new ShowRequested();
  private volatile @Nullable HotplugRegion region;
  private volatile @Nullable DriverSignals signals;
  private volatile long requestedBytes;

  /** What the driver reads. */
  private volatile long shownRequestedBytes;

  /**
   * @param layout of the region that the guest's memory has
   * @param requestedBytes to be plugged to begin with; whole blocks, and no more than there are
   */
  public MemoryDevice(String id, HotplugLayout layout, long requestedBytes) {
    this.id = id;
    this.layout = layout;
    this.requestedBytes = checked(requestedBytes);
    this.shownRequestedBytes = requestedBytes;
  }

  private long checked(long bytes) {
    if (!isPossible(bytes)) {
      throw new IllegalArgumentException(bytes + " bytes of " + layout);
    }
    return bytes;
  }

  /** Whether so much can be asked for: whole blocks, and no more than there are. */
  public boolean isPossible(long bytes) {
    return bytes >= 0 && bytes <= layout.bytes() && bytes % layout.blockBytes() == 0;
  }

  /**
   * Changes how much the driver is to plug, whatever it has plugged. Any thread may call, but none
   * that serves a queue.
   *
   * @param bytes {@linkplain #isPossible possible}
   */
  public void setRequested(long bytes) {
    requestedBytes = checked(bytes);
    DriverSignals current = signals;
    if (current != null) {
      current.changeConfig(showRequested);
    }
  }

  /** What was last asked for. */
  public long requestedBytes() {
    return requestedBytes;
  }

  private final class ShowRequested implements Runnable {
    @Override
    public void run() {
      shownRequestedBytes = requestedBytes;
    }
  }

  @Override
  public BackEnd backEnd() {
    return BackEnd.MEM_HOST;
  }

  @Override
  public String id() {
    return id;
  }

  /**
   * A driver that does not take UNPLUGGED_INACCESSIBLE may read what is not plugged by its CPU
   * (5.15.6.2): it finds ones where KVM has no window of the region, and zeroes in one.
   */
  @Override
  public long features() {
    return Virtqueue.FEATURES | RING_RESET | MemoryFeature.UNPLUGGED_INACCESSIBLE;
  }

  @Override
  public List<Integer> queueSizes() {
    return List.of(QUEUE_SIZE);
  }

  @Override
  public void describe(int queue, DescriptorChain chain, RequestDescription description) {
    MemoryRequests.describe(chain, description);
  }

  @Override
  public int configLength() {
    return CONFIG_LENGTH;
  }

  /** The usable region is all of it, so it neither grows nor shrinks. */
  @Override
  public byte readConfig(int offset) {
    long field =
        switch (offset & -Long.BYTES) {
          case CONFIG_BLOCK_SIZE -> layout.blockBytes();
          case CONFIG_NODE_ID -> 0;
          case CONFIG_ADDR -> layout.base();
          case CONFIG_REGION_SIZE, CONFIG_USABLE_REGION_SIZE -> layout.bytes();
          case CONFIG_PLUGGED_SIZE -> pluggedBytes();
          default -> shownRequestedBytes;
        };
    return (byte) (field >>> (Byte.SIZE * (offset % Long.BYTES)));
  }

  private long pluggedBytes() {
    HotplugRegion current = region;
    return current == null ? 0 : current.pluggedBytes();
  }

  @Override
  public void activate(Activation activation) {
    region = activation.memory().hotplug().orElseThrow();
    signals = activation.signals();
    if (shownRequestedBytes != requestedBytes) {
      activation.signals().changeConfig(showRequested);
    }
    super.activate(activation);
  }

  @Override
  protected QueueServer newServer(int index, QueueConnection connection) {
    return new WorkerQueue("memory " + id, connection) {
      @Override
      protected QueueWorker.Handler handler(Virtqueue queue, Activation activation) {
        return new MemoryRequests(
            requireNonNull(region, "not active"),
            MemoryDevice.this::requestedBytes,
            activation.signals()::showConfig,
            counters);
      }
    };
  }

  /**
   * 5.15.5.2: "The device MUST NOT change the state of memory blocks during device reset." The next
   * driver finds them plugged, and unplugs them all or asks which they are.
   */
  @Override
  public void deactivate() {
    signals = null;
    super.deactivate();
  }

  @Override
  public Map<String, String> attributes() {
    return Map.of("region", "0x%x-0x%x".formatted(layout.base(), layout.end() - 1));
  }

  @Override
  public Map<String, Long> gauges() {
    Map<String, Long> gauges = new TreeMap<>();
    gauges.put("region_bytes", layout.bytes());
    gauges.put("block_bytes", layout.blockBytes());
    gauges.put("requested_bytes", requestedBytes);
    gauges.put("plugged_bytes", pluggedBytes());
    return gauges;
  }

  @Override
  public Map<String, Long> counters() {
    Map<String, Long> result = new TreeMap<>();
    counters.putInto(result, "");
    HotplugRegion current = region;
    if (current != null && current.hostFailures() != 0) {
      result.put("errors_host", current.hostFailures());
    }
    return result;
  }
}
