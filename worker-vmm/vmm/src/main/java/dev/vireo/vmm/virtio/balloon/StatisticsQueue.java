package dev.vireo.vmm.virtio.balloon;

import dev.vireo.linux.PollSet;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.QueueServer;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.QueueSignals;
import dev.vireo.vmm.virtio.queue.ServingLock;
import dev.vireo.vmm.virtio.queue.Threads;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.locks.Condition;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The queue of statistics, and its thread (VIRTIO 1.2, section 5.5.6.3). The driver gives one
 * buffer with what it knows; to hear more the device returns it, and the driver gives it again.
 * That happens at an interval, or when somebody asks.
 */
final class StatisticsQueue implements QueueServer {
  /** 5.5.6.3: struct virtio_balloon_stat { le16 tag; le64 val; }, packed. */
  private static final int ENTRY_BYTES = 10;

  /** Entries of a buffer that are looked at: more than any driver has kinds of. */
  static final int MAX_ENTRIES = 64;

  /** Buffers that are taken before who waits for the lock has it. */
  private static final int TURN = 16;

  private static final int NOTIFIER = 0;
  private static final long NANOS_PER_MILLI = 1_000_000;
  private static final int NONE = -1;

  private record Service(Virtqueue queue, DescriptorChain chain, QueueSignals signals) {}

  private final QueueConnection connection;
  private final EnumCounters<BalloonEvent> counters;
  private final long intervalNanos;
  private final LongSupplier nanoTime;
  private final PollSet poll;
  private final Thread thread;
  private final ServingLock serving = new ServingLock();
  private final Condition heard = serving.newCondition();
  private volatile boolean closed;
  private @Nullable Service service;
  private int heldHead = NONE;
  private boolean asked;
  private long dueNanos;
  private final long[] values = new long[StatisticsTag.COUNT];
  private int known;
  private long buffers;
  private long heardNanos;

  /**
   * Starts the thread.
   *
   * @param interval zero: only when somebody asks
   */
  StatisticsQueue(
      String name,
      QueueConnection connection,
      Duration interval,
      EnumCounters<BalloonEvent> counters,
      LongSupplier nanoTime) {
    this.connection = connection;
    this.counters = counters;
    this.intervalNanos = interval.toNanos();
    this.nanoTime = nanoTime;
    this.poll = new PollSet(connection.notifier().fd());
    poll.watch(NOTIFIER, PollSet.READABLE);
    this.thread = Thread.ofPlatform().name(name).daemon().start(new Loop());
  }

  @Override
  public void start(Virtqueue queue, Activation activation) {
    DescriptorChain chain = new DescriptorChain(activation.memory(), queue.size());
    try (ServingLock _ = serving.take()) {
      service = new Service(queue, chain, activation.signals());
      heldHead = NONE;
      asked = false;
      known = 0;
      dueNanos = nanoTime.getAsLong() + intervalNanos;
    }
    connection.notifier().signal();
  }

  /** Returns once nothing is in flight, after which the ring is neither read nor written. */
  @Override
  public void stop() {
    try (ServingLock _ = serving.take()) {
      service = null;
      heldHead = NONE;
      heard.signalAll();
    }
  }

  /**
   * Adds what the driver said last, and how long ago that was. First it is asked what it knows now,
   * and waited for; not if it has not yet answered the last question, or is asked at an interval
   * anyhow.
   */
  void putInto(Map<String, Long> gauges, Duration within) {
    try (ServingLock _ = serving.take()) {
      refresh(within);
      for (int tag = 0; tag < values.length; tag++) {
        if ((known & 1 << tag) != 0) {
          gauges.put(StatisticsTag.of(tag).gauge(), values[tag]);
        }
      }
      if (known != 0) {
        gauges.put("guest_statistics_age_ns", nanoTime.getAsLong() - heardNanos);
      }
    }
  }

  private void refresh(Duration within) {
    if (service == null || heldHead == NONE || intervalNanos > 0) {
      return;
    }
    asked = true;
    connection.notifier().signal();
    long before = buffers;
    long leftNanos = within.toNanos();
    try {
      while (service != null && buffers == before && leftNanos > 0) {
        leftNanos = heard.awaitNanos(leftNanos); // Lets go of the lock.
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void close() {
    stop();
    closed = true;
    connection.notifier().signal();
    Threads.awaitEnd(thread);
  }

  private final class Loop implements Runnable {
    @Override
    public void run() {
      boolean more = false;
      while (true) {
        poll.await(more ? 0 : sleepMillis());
        if (poll.readiness(NOTIFIER) != 0) {
          connection.notifier().drain();
          connection.counters().notified();
        }
        if (closed) {
          return;
        }
        try (ServingLock _ = serving.take()) {
          Service current = service;
          more = current != null && serve(current);
        }
      }
    }
  }

  /** Until the driver is to be asked again; without limit if it has nothing to be asked with. */
  private int sleepMillis() {
    try (ServingLock _ = serving.take()) {
      if (service == null || heldHead == NONE || intervalNanos == 0) {
        return -1;
      }
      long left = Math.max(0, dueNanos - nanoTime.getAsLong());
      return (int) Math.min(Integer.MAX_VALUE, Math.ceilDiv(left, NANOS_PER_MILLI));
    }
  }

  /** Returns whether there may be more. */
  private boolean serve(Service current) {
    try {
      boolean more = takeTurn(current);
      connection.interruptIfWanted(current.queue(), current.signals());
      return more;
    } catch (RuntimeException | Error e) {
      service = null;
      current.signals().needsReset(e);
      return false;
    }
  }

  private boolean takeTurn(Service current) {
    current.queue().disableNotifications();
    int taken = 0;
    while (taken < TURN && current.queue().pop(current.chain())) {
      take(current);
      taken++;
    }
    askIfDue(current);
    return taken == TURN || current.queue().enableNotifications();
  }

  /** 5.5.6.3.1: one buffer is all that the driver may give. */
  private void take(Service current) {
    read(current.chain());
    connection.counters().requestDone();
    if (heldHead != NONE) {
      counters.increment(BalloonEvent.ERRORS_STATISTICS_BUFFERS);
      giveBack(current);
    }
    heldHead = current.chain().head();
    buffers++;
    heardNanos = nanoTime.getAsLong();
    heard.signalAll();
  }

  private void askIfDue(Service current) {
    long now = nanoTime.getAsLong();
    boolean due = intervalNanos > 0 && now - dueNanos >= 0;
    if (heldHead == NONE || !(due || asked)) {
      return;
    }
    giveBack(current);
    asked = false;
    dueNanos = now + intervalNanos;
  }

  private void giveBack(Service current) {
    current.queue().addUsed(heldHead, 0);
    current.queue().publishUsed();
    heldHead = NONE;
  }

  private void read(DescriptorChain chain) {
    counters.increment(BalloonEvent.STATISTICS);
    if (chain.defect() != null) {
      counters.increment(BalloonEvent.ERRORS_DESCRIPTORS);
      return;
    }
    if (chain.writableBytes() > 0 || chain.readableBytes() % ENTRY_BYTES != 0) {
      counters.increment(BalloonEvent.ERRORS_MALFORMED);
      return;
    }
    long entries = chain.readableBytes() / ENTRY_BYTES;
    if (entries > MAX_ENTRIES) {
      counters.increment(BalloonEvent.ERRORS_OVERSIZED);
      entries = MAX_ENTRIES;
    }
    for (long entry = 0; entry < entries; entry++) {
      long at = entry * ENTRY_BYTES;
      int tag =
          Byte.toUnsignedInt(chain.getByte(at)) | Byte.toUnsignedInt(chain.getByte(at + 1)) << 8;
      // 5.5.6.3.2: "the device MUST ignore entries with tag values that it does not recognize".
      if (tag < StatisticsTag.COUNT) {
        values[tag] = chain.getLong(at + 2);
        known |= 1 << tag;
      } else {
        counters.increment(BalloonEvent.STATISTICS_UNKNOWN);
      }
    }
  }
}
