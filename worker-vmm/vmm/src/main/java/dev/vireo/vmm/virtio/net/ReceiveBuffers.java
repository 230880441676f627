package dev.vireo.vmm.virtio.net;

import dev.vireo.linux.Errno;
import dev.vireo.vmm.backend.Tap;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.IoVector;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.QueueCounters;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * The driver's receive buffers of one activation, in order, and the one frame that may be on its
 * way into them (VIRTIO 1.2, section 5.1.6.3).
 *
 * <p>How long a frame is shows only once it has been read. So it is read into all buffers at hand,
 * enough for the largest frame if the driver gave that many, and past their end into an overflow of
 * our own. What lands there is copied once the driver has given more. For one thread at a time.
 */
final class ReceiveBuffers {
  /** 5.1.6.3.1: what a driver provides for frames in large segments, the header included. */
  static final int LARGEST_FRAME_BYTES = 65_562;

  /** As well, without them. */
  static final int ORDINARY_FRAME_BYTES = 1_526;

  /** The most ranges that one {@code readv} takes (IOV_MAX). */
  private static final int MAX_RANGES = 1024;

  /** Room for any frame of a tap interface, whose MTU is 65,521 at most. */
  static final int OVERFLOW_BYTES = 68 << 10;

  // struct virtio_net_hdr { u8 flags; u8 gso_type; le16 hdr_len, gso_size, csum_start, csum_offset,
  // num_buffers; }
  private static final int HEADER_FLAGS = 0;
  private static final int HEADER_NUM_BUFFERS = 10;

  private final Virtqueue queue;
  private final GuestMemory memory;
  private final boolean mergeable;
  private final boolean checksumsMayBeMissing;
  private final int wantedBytes;
  private final EnumCounters<NetEvent> events;
  private final QueueCounters counters;
  private final DescriptorChain chain;
  private final IoVector vector;
  private final MemorySegment overflow;

  // The buffers, a ring of which `count` entries from `first` on are in use.
  private final int[] heads;
  private final long[] lengths;
  private final long[] flagsAddresses;
  private final long[] lowCountAddresses;
  private final long[] highCountAddresses;
  private int first;
  private int count;

  // The frame on its way: its bytes with the header, or 0, and where its part in `overflow` starts.
  private int frameBytes;
  private long overflowStart;

  /**
   * @param features what was negotiated
   * @param overflow {@link #OVERFLOW_BYTES} of native memory
   */
  ReceiveBuffers(
      Virtqueue queue,
      GuestMemory memory,
      long features,
      MemorySegment overflow,
      EnumCounters<NetEvent> events,
      QueueCounters counters) {
    this.queue = queue;
    this.memory = memory;
    this.mergeable = (features & NetFeature.MRG_RXBUF) != 0;
    this.checksumsMayBeMissing = (features & NetFeature.GUEST_CSUM) != 0;
    this.wantedBytes =
        (features & NetFeature.GUEST_SEGMENTATION) != 0
            ? LARGEST_FRAME_BYTES
            : ORDINARY_FRAME_BYTES;
    this.overflow = overflow;
    this.events = events;
    this.counters = counters;
    this.chain = new DescriptorChain(memory, queue.size());
    this.vector = new IoVector(memory, MAX_RANGES);
    this.heads = new int[queue.size()];
    this.lengths = new long[queue.size()];
    this.flagsAddresses = new long[queue.size()];
    this.lowCountAddresses = new long[queue.size()];
    this.highCountAddresses = new long[queue.size()];
  }

  /** Whether a frame was read that is not delivered. */
  boolean hasFrame() {
    return frameBytes != 0;
  }

  /**
   * Takes buffers from the driver, as many as the largest frame wants.
   *
   * @return false if there is none
   */
  boolean fill() {
    while ((count == 0 || (mergeable && vector.bytes() < wantedBytes)) && takeBuffer()) {
      // One more.
    }
    return count != 0;
  }

  /**
   * Reads a frame, if there is one. Only after {@link #fill}, and with no frame on its way.
   *
   * @return its bytes without the header, or a negative error number as {@link Tap#read} gives it
   */
  int readFrame(Tap tap) {
    overflowStart = vector.bytes();
    vector.add(overflow);
    int result = tap.read(vector);
    vector.removeLast();
    if (result < 0) {
      return result;
    }
    if (result <= Tap.HEADER_BYTES) {
      return -Errno.EINVAL;
    }
    frameBytes = result;
    return result - Tap.HEADER_BYTES;
  }

  /**
   * Hands the frame to the driver, or drops it if no buffer can be large enough.
   *
   * @return false if it is still on its way, because more buffers are needed
   */
  boolean deliver() {
    if (frameBytes > vector.bytes()) {
      if (!mergeable) {
        drop(NetEvent.RX_DROPPED_TOO_LONG);
        return true;
      }
      if (!takeBuffersForOverflow()) {
        return false;
      }
    }
    returnBuffers();
    events.increment(NetEvent.RX_FRAMES);
    events.add(NetEvent.RX_BYTES, frameBytes - Tap.HEADER_BYTES);
    frameBytes = 0;
    return true;
  }

  /** Forgets the frame; the buffers that hold a part of it are for the next. */
  void drop(NetEvent reason) {
    events.increment(reason);
    frameBytes = 0;
  }

  private boolean takeBuffersForOverflow() {
    while (vector.bytes() < frameBytes) {
      long position = vector.bytes();
      if (!takeBuffer()) {
        return false;
      }
      long here = Math.min(frameBytes, vector.bytes()) - position;
      chain.write(0, overflow.asSlice(position - overflowStart, here));
    }
    return true;
  }

  /** Takes the next buffer that can be used; those that cannot are returned. */
  private boolean takeBuffer() {
    // Not more than a ring of bad ones at a time: a driver can make them as fast as this loop runs.
    for (int i = 0; i < queue.size(); i++) {
      if (vector.room() <= queue.size() || !queue.pop(chain)) {
        return false;
      }
      NetEvent defect = defect();
      if (defect == null) {
        append();
        return true;
      }
      events.increment(defect);
      queue.complete(chain, 0);
      counters.requestDone();
    }
    return false;
  }

  private @Nullable NetEvent defect() {
    if (chain.defect() != null) {
      return NetEvent.ERRORS_DESCRIPTORS;
    }
    if (chain.readableBytes() != 0) {
      return NetEvent.ERRORS_DIRECTION;
    }
    return chain.writableBytes() < Tap.HEADER_BYTES ? NetEvent.ERRORS_TOO_SHORT : null;
  }

  private void append() {
    int at = (first + count) & (heads.length - 1);
    heads[at] = chain.head();
    lengths[at] = chain.writableBytes();
    flagsAddresses[at] = chain.writableAddress(HEADER_FLAGS);
    lowCountAddresses[at] = chain.writableAddress(HEADER_NUM_BUFFERS);
    highCountAddresses[at] = chain.writableAddress(HEADER_NUM_BUFFERS + 1);
    count++;
    chain.gatherWritable(0, chain.writableBytes(), vector);
  }

  /** Those that the frame fills, together: a driver expects to find all that the header counts. */
  private void returnBuffers() {
    int header = first;
    int buffers = 0;
    long left = frameBytes;
    while (left > 0) {
      long length = lengths[first];
      queue.addUsed(heads[first], (int) Math.min(length, left));
      counters.requestDone();
      vector.skip(length);
      first = (first + 1) & (heads.length - 1);
      count--;
      buffers++;
      left -= length;
    }
    finishHeader(header, buffers);
    queue.publishUsed();
  }

  private void finishHeader(int header, int buffers) {
    // 5.1.6.4.1: "If VIRTIO_NET_F_GUEST_CSUM is not negotiated, the device MUST set flags to zero".
    // The kernel, which has computed the checksum, may say there that it was right.
    if (!checksumsMayBeMissing) {
      memory.putByte(flagsAddresses[header], (byte) 0);
    }
    // 5.1.6.4: "num_buffers" is there in any case; the kernel does not write it.
    memory.putByte(lowCountAddresses[header], (byte) buffers);
    memory.putByte(highCountAddresses[header], (byte) (buffers >> 8));
  }
}
