package dev.vireo.vmm.virtio.queue;

import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.trace.TraceFilter;
import dev.vireo.vmm.trace.TraceRecord;
import dev.vireo.vmm.trace.TraceRing;
import java.util.Arrays;
import java.util.function.LongSupplier;

/**
 * Traces the chains of one queue, from {@link Virtqueue#pop} to {@link Virtqueue#addUsed}. Used by
 * the queue's thread; allocates nothing once it is made.
 */
public final class QueueRecorder {
  /** No time of any clock: the chain was taken before there was a trace. */
  private static final long NOT_TAKEN = Long.MIN_VALUE;

  private static final long NO_STATUS = RequestDescription.NO_STATUS;
  private static final byte STATUS_OK = 0;
  private static final byte STATUS_UNSUPPORTED = 2;

  private final TraceRing ring;
  private final TraceFilter filter;
  private final LongSupplier nanoTime;
  private final RequestSource source;
  private final GuestMemory memory;
  private final int slot;
  private final int queue;
  private final RequestDescription description = new RequestDescription();

  // Of the chain with this head.
  private final long[] takenNanos;
  private final long[] offsets;
  private final long[] bytes;
  private final long[] statusAddresses;
  private final byte[] kinds;
  private final boolean[] malformed;
  private final boolean[] mayBeUnsupported;

  /**
   * @param source whose queue it is
   * @param slot of the device, at most 255
   * @param queue its index, at most 65,535
   * @param heads the queue's largest size
   */
  public QueueRecorder(
      TraceRing ring,
      TraceFilter filter,
      LongSupplier nanoTime,
      RequestSource source,
      GuestMemory memory,
      int slot,
      int queue,
      int heads) {
    this.ring = ring;
    this.filter = filter;
    this.nanoTime = nanoTime;
    this.source = source;
    this.memory = memory;
    this.slot = slot;
    this.queue = queue;
    this.takenNanos = new long[heads];
    this.offsets = new long[heads];
    this.bytes = new long[heads];
    this.statusAddresses = new long[heads];
    this.kinds = new byte[heads];
    this.malformed = new boolean[heads];
    this.mayBeUnsupported = new boolean[heads];
    Arrays.fill(takenNanos, NOT_TAKEN);
  }

  /** The device has taken this chain. */
  @SuppressWarnings("EnumOrdinal") // An index that never leaves this process.
  void taken(DescriptorChain chain) {
    int head = chain.head();
    boolean sound = chain.defect() == null;
    description.begin(source.requestKind(queue), chain);
    if (sound) {
      source.describe(queue, chain, description);
    }
    kinds[head] = (byte) description.kind.ordinal();
    offsets[head] = description.offset;
    bytes[head] = description.bytes;
    statusAddresses[head] = sound ? statusAddress(chain) : NO_STATUS;
    mayBeUnsupported[head] = description.endsInStatus;
    malformed[head] = !sound;
    takenNanos[head] = nanoTime.getAsLong();
  }

  private long statusAddress(DescriptorChain chain) {
    return description.endsInStatus ? chain.lastAddress() : description.statusAddress;
  }

  /**
   * The device returns the chain of this head.
   *
   * @param written bytes that it wrote for sure
   */
  @SuppressWarnings("EnumOrdinal") // As above.
  void returned(int head, int written) {
    long nowNanos = nanoTime.getAsLong();
    long sinceNanos = takenNanos[head];
    if (sinceNanos == NOT_TAKEN) {
      put(
          nowNanos,
          TraceRecord.NO_DURATION,
          source.requestKind(queue),
          RequestResult.OK,
          RequestDescription.NO_OFFSET,
          Integer.toUnsignedLong(written));
      return;
    }
    takenNanos[head] = NOT_TAKEN;
    RequestKind kind = RequestKind.of(kinds[head]);
    put(
        sinceNanos,
        kind.waits() ? TraceRecord.NO_DURATION : nowNanos - sinceNanos,
        kind,
        result(head),
        offsets[head],
        bytes[head] == RequestDescription.AS_WRITTEN
            ? Integer.toUnsignedLong(written)
            : bytes[head]);
  }

  private RequestResult result(int head) {
    if (malformed[head]) {
      return RequestResult.MALFORMED;
    }
    if (statusAddresses[head] == NO_STATUS) {
      return RequestResult.OK;
    }
    byte status = memory.getByte(statusAddresses[head]);
    if (status == STATUS_OK) {
      return RequestResult.OK;
    }
    return status == STATUS_UNSUPPORTED && mayBeUnsupported[head]
        ? RequestResult.UNSUPPORTED
        : RequestResult.ERROR;
  }

  private void put(
      long timeNanos,
      long durationNanos,
      RequestKind kind,
      RequestResult result,
      long offset,
      long amount) {
    if (filter.wantsDuration(durationNanos)) {
      ring.put(
          timeNanos, durationNanos, TracedRequest.pack(slot, queue, kind, result), offset, amount);
    }
  }
}
