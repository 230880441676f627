package dev.vireo.vmm.virtio.balloon;

import dev.vireo.catalog.BackEnd;
import dev.vireo.linux.MonotonicClock;
import dev.vireo.vmm.memory.GuestMemory;
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
import dev.vireo.vmm.virtio.queue.RequestKind;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * A virtio-balloon device: the host says how much memory it would like to have back, and the driver
 * puts that many pages of its guest into the balloon (VIRTIO 1.2, section 5.5). What is in there is
 * given back to the host. Besides, the driver may report free pages, and tells statistics.
 *
 * <p>Free page hints are not offered: they say which pages a migration need not copy.
 */
public final class BalloonDevice extends ThreadedDevice {
  private static final int INFLATE = 0;
  private static final int DEFLATE = 1;
  private static final int STATISTICS = 2;

  /** 5.5.2: where the queue of reported pages is, whatever else there is. */
  private static final int REPORTING = 4;

  /** Where it is to Linux, which numbers the queues that it uses without gaps. */
  private static final int LINUX_REPORTING = 3;

  private static final int QUEUES = REPORTING + 1;
  private static final int NONE = -1;

  /** Linux reports 32 free areas at once, and has one other request out. */
  private static final int QUEUE_SIZE = 64;

  // 5.5.4: struct virtio_balloon_config { le32 num_pages; le32 actual; le32 free_page_hint_cmd_id;
  // le32 poison_val; }
  private static final int CONFIG_ACTUAL = 4;
  private static final int CONFIG_HINT = 8;
  private static final int CONFIG_POISON = 12;
  private static final int CONFIG_LENGTH = 16;

  /** What an inspection waits for statistics that nobody has asked for before. */
  private static final Duration STATISTICS_WITHIN = Duration.ofMillis(100);

  private final String id;
  private final Duration statisticsInterval;
  private final Duration statisticsWithin;
  private final LongSupplier nanoTime;
  private final long features;
  private final EnumCounters<BalloonEvent> counters = new EnumCounters<>(BalloonEvent.class);
  private final Runnable showTarget = new ShowTarget();
  private volatile @Nullable StatisticsQueue statistics;
  private volatile @Nullable DriverSignals signals;
  private volatile int targetPages;

  /** What the driver reads. */
  private volatile int shownPages;

  // Written by vCPUs, under the transport's lock.
  private volatile int actualPages;
  private volatile int poison;

  /**
   * @param targetBytes to have back to begin with; below 16 TiB
   * @param statisticsInterval how often the driver is asked for statistics; zero: when it is
   *     inspected
   * @param deflateOnOom whether the driver may take pages out before its guest kills processes
   * @param freePageReporting whether it is to report free pages
   */
  public BalloonDevice(
      String id,
      long targetBytes,
      Duration statisticsInterval,
      boolean deflateOnOom,
      boolean freePageReporting) {
    this(
        id,
        targetBytes,
        statisticsInterval,
        STATISTICS_WITHIN,
        MonotonicClock.INSTANCE,
        deflateOnOom,
        freePageReporting);
  }

  BalloonDevice(
      String id,
      long targetBytes,
      Duration statisticsInterval,
      Duration statisticsWithin,
      LongSupplier nanoTime,
      boolean deflateOnOom,
      boolean freePageReporting) {
    this.id = id;
    this.statisticsWithin = statisticsWithin;
    this.nanoTime = nanoTime;
    this.statisticsInterval = statisticsInterval;
    this.features =
        Virtqueue.FEATURES
            | RING_RESET
            | BalloonFeature.STATS_VQ
            | (deflateOnOom ? BalloonFeature.DEFLATE_ON_OOM : 0)
            // Linux does not report pages that it fills, unless it can say what with.
            | (freePageReporting ? BalloonFeature.PAGE_REPORTING | BalloonFeature.PAGE_POISON : 0);
    this.targetPages = pages(targetBytes);
    this.shownPages = targetPages;
  }

  private static int pages(long bytes) {
    long pages = bytes / GuestMemory.PAGE_BYTES;
    if (pages < 0 || pages > 0xffff_ffffL) {
      throw new IllegalArgumentException("a balloon of " + bytes + " bytes");
    }
    return (int) pages;
  }

  private static long bytes(int pages) {
    return Integer.toUnsignedLong(pages) * GuestMemory.PAGE_BYTES;
  }

  /**
   * Changes how much the driver is to put into the balloon, whatever it has there. Any thread may
   * call, but none that serves a queue.
   */
  public void setTarget(long bytes) {
    targetPages = pages(bytes);
    DriverSignals current = signals;
    if (current != null) {
      current.changeConfig(showTarget);
    }
  }

  /** What was last asked for. */
  public long targetBytes() {
    return bytes(targetPages);
  }

  private final class ShowTarget implements Runnable {
    @Override
    public void run() {
      shownPages = targetPages;
    }
  }

  @Override
  public BackEnd backEnd() {
    return BackEnd.BALLOON_HOST;
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
    return Collections.nCopies(QUEUES, QUEUE_SIZE);
  }

  @Override
  public RequestKind requestKind(int queue) {
    return switch (queue) {
      case INFLATE -> RequestKind.INFLATE;
      case DEFLATE -> RequestKind.DEFLATE;
      case STATISTICS -> RequestKind.STATISTICS;
      default -> RequestKind.REPORT;
    };
  }

  /** 5.5.6: pages are named by a number of 32 bits each, or are the chain's own buffers. */
  @Override
  public void describe(int queue, DescriptorChain chain, RequestDescription description) {
    switch (requestKind(queue)) {
      case INFLATE, DEFLATE ->
          description.bytes(bytes((int) (chain.readableBytes() / Integer.BYTES)));
      case REPORT -> description.bytes(chain.writableBytes());
      default -> {}
    }
  }

  @Override
  public int configLength() {
    return CONFIG_LENGTH;
  }

  @Override
  public byte readConfig(int offset) {
    int field =
        switch (offset & -Integer.BYTES) {
          case CONFIG_ACTUAL -> actualPages;
          case CONFIG_HINT -> 0;
          case CONFIG_POISON -> poison;
          default -> shownPages;
        };
    return (byte) (field >>> shift(offset));
  }

  @Override
  public boolean writeConfig(int offset, byte value) {
    switch (offset & -Integer.BYTES) {
      case CONFIG_ACTUAL -> actualPages = with(actualPages, offset, value);
      case CONFIG_POISON -> {
        if ((features & BalloonFeature.PAGE_POISON) == 0) {
          return false;
        }
        poison = with(poison, offset, value);
      }
      default -> {
        return false;
      }
    }
    return true;
  }

  private static int shift(int offset) {
    return Byte.SIZE * (offset % Integer.BYTES);
  }

  private static int with(int field, int offset, byte value) {
    return (field & ~(0xff << shift(offset))) | Byte.toUnsignedInt(value) << shift(offset);
  }

  @Override
  public void activate(Activation activation) {
    signals = activation.signals();
    if (shownPages != targetPages) {
      activation.signals().changeConfig(showTarget);
    }
    super.activate(activation);
  }

  @Override
  public void startQueue(int index, Virtqueue queue, Activation activation) {
    if (index <= DEFLATE || index == statistics(activation) || index == reporting(activation)) {
      super.startQueue(index, queue, activation);
    }
  }

  private static int statistics(Activation activation) {
    return activation.has(BalloonFeature.STATS_VQ) ? STATISTICS : NONE;
  }

  private static int reporting(Activation activation) {
    if (!activation.has(BalloonFeature.PAGE_REPORTING)) {
      return NONE;
    }
    return activation.queues().get(REPORTING).isPresent() ? REPORTING : LINUX_REPORTING;
  }

  @Override
  protected QueueServer newServer(int index, QueueConnection connection) {
    if (index == STATISTICS) {
      StatisticsQueue made =
          new StatisticsQueue(
              "balloon statistics " + id, connection, statisticsInterval, counters, nanoTime);
      statistics = made;
      return made;
    }
    return new WorkerQueue("balloon " + index + " " + id, connection) {
      @Override
      protected QueueWorker.Handler handler(Virtqueue queue, Activation activation) {
        GuestMemory memory = activation.memory();
        HostPages host = new HostPages(memory, counters);
        return switch (index) {
          case INFLATE -> new InflateRequests(memory, host, counters);
          case DEFLATE -> new DeflateRequests(memory, counters);
          default -> new ReportRequests(host, () -> poison, counters);
        };
      }
    };
  }

  /** With the driver goes what it said of its balloon; the pages come back as they are touched. */
  @Override
  public void deactivate() {
    signals = null;
    super.deactivate();
    actualPages = 0;
    poison = 0;
  }

  @Override
  public Map<String, Long> gauges() {
    Map<String, Long> gauges = new TreeMap<>();
    gauges.put("target_bytes", bytes(targetPages));
    gauges.put("actual_bytes", bytes(actualPages));
    StatisticsQueue thread = statistics;
    if (thread != null) {
      thread.putInto(gauges, statisticsWithin);
    }
    return gauges;
  }

  @Override
  public Map<String, Long> counters() {
    Map<String, Long> result = new TreeMap<>();
    counters.putInto(result, "");
    return result;
  }
}
