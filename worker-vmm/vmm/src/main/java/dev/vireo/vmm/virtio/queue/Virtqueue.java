package dev.vireo.vmm.virtio.queue;

import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.trace.TracePoint;
import dev.vireo.vmm.virtio.queue.VirtqueueException.Fault;
import java.lang.invoke.VarHandle;

/**
 * The device's side of a split virtqueue (VIRTIO 1.2, section 2.7), with indirect descriptors and
 * event indices. Trusts nothing that the driver wrote, reads each field of it once, and allocates
 * nothing after it is made. For one thread at a time.
 */
public final class Virtqueue {
  /** Feature bit: chains may continue in a table of their own (section 6). */
  public static final long INDIRECT_DESC = 1L << 28;

  /** Feature bit: each side says at which index it wants the next signal (section 6). */
  public static final long EVENT_IDX = 1L << 29;

  /** The feature bits this ring implements. */
  public static final long FEATURES = INDIRECT_DESC | EVENT_IDX;

  private static final int MAX_SIZE = 32_768;

  // 2.7.5: struct virtq_desc { le64 addr; le32 len; le16 flags; le16 next; }
  private static final int DESCRIPTOR_BYTES = 16;
  private static final int DESCRIPTOR_NEXT = 1;
  private static final int DESCRIPTOR_WRITE = 2;
  private static final int DESCRIPTOR_INDIRECT = 4;

  // 2.7.6: struct virtq_avail { le16 flags; le16 idx; le16 ring[size]; le16 used_event; }
  private static final int AVAILABLE_INDEX = 2;
  private static final int AVAILABLE_RING = 4;
  private static final int AVAILABLE_NO_INTERRUPT = 1;

  // 2.7.8: struct virtq_used { le16 flags; le16 idx; struct { le32 id; le32 len; } ring[size]; le16
  // avail_event; }
  private static final int USED_INDEX = 2;
  private static final int USED_RING = 4;
  private static final int USED_ELEMENT_BYTES = 8;
  private static final short USED_NO_NOTIFY = 1;

  private final GuestMemory memory;
  private final int size;
  private final long descriptors;
  private final long available;
  private final long used;
  private final long usedEvent;
  private final long availableEvent;
  private final boolean eventIndex;
  private final boolean indirect;
  private final boolean[] inUse;
  private final TracePoint<QueueRecorder> trace;

  // Free-running 16-bit indices, kept as 0 to 65,535.
  private int nextAvailable;
  private int seenAvailable;
  private int nextUsed;
  private int signalledUsed;

  /** As the other constructor says, for a ring that nobody traces. */
  public Virtqueue(GuestMemory memory, QueueSetup setup, long features) {
    this(memory, setup, features, new TracePoint<>());
  }

  /**
   * @param features what was negotiated
   * @param trace of the queue, whichever its ring is
   * @throws VirtqueueException if size, alignment or place of a ring is illegal
   */
  public Virtqueue(
      GuestMemory memory, QueueSetup setup, long features, TracePoint<QueueRecorder> trace) {
    this.memory = memory;
    this.trace = trace;
    this.size = setup.size();
    this.descriptors = setup.descriptorTable();
    this.available = setup.availableRing();
    this.used = setup.usedRing();
    this.eventIndex = (features & EVENT_IDX) != 0;
    this.indirect = (features & INDIRECT_DESC) != 0;
    if (size < 1 || size > MAX_SIZE || Integer.bitCount(size) != 1) {
      throw new VirtqueueException(Fault.QUEUE_SIZE, Integer.toString(size));
    }
    this.usedEvent = available + AVAILABLE_RING + 2L * size;
    this.availableEvent = used + USED_RING + (long) USED_ELEMENT_BYTES * size;
    this.inUse = new boolean[size];
    // 2.7: sizes and alignments. The event indices at the rings' ends exist whether negotiated or
    // not.
    checkRing("descriptor table", descriptors, (long) DESCRIPTOR_BYTES * size, DESCRIPTOR_BYTES);
    checkRing("available ring", available, AVAILABLE_RING + 2L * size + 2, 2);
    checkRing("used ring", used, USED_RING + (long) USED_ELEMENT_BYTES * size + 2, 4);
  }

  private void checkRing(String name, long address, long length, int alignment) {
    if (address % alignment != 0) {
      throw new VirtqueueException(Fault.RING_ALIGNMENT, "%s at 0x%x".formatted(name, address));
    }
    if (!memory.contains(address, length)) {
      throw new VirtqueueException(
          Fault.RING_OUTSIDE_MEMORY, "%s of %d bytes at 0x%x".formatted(name, length, address));
    }
  }

  /** Entries of the ring, and the most buffers of a chain. */
  public int size() {
    return size;
  }

  /**
   * Takes the next chain that the driver made available.
   *
   * @param chain made for a queue of this size; overwritten
   * @return false if there is none
   * @throws VirtqueueException if the ring or the chain is not legal; the queue must not be used
   *     any more
   */
  public boolean pop(DescriptorChain chain) {
    if (!hasMore()) {
      return false;
    }
    int slot = nextAvailable & (size - 1);
    int head = Short.toUnsignedInt(memory.getShort(available + AVAILABLE_RING + 2L * slot));
    if (head >= size) {
      throw new VirtqueueException(Fault.HEAD_OUT_OF_RANGE, head + " of " + size);
    }
    if (inUse[head]) {
      throw new VirtqueueException(Fault.HEAD_IN_USE, Integer.toString(head));
    }
    inUse[head] = true;
    nextAvailable = (nextAvailable + 1) & 0xffff;
    chain.begin(head);
    walk(head, chain);
    QueueRecorder recorder = trace.recorder();
    if (recorder != null) {
      recorder.taken(chain);
    }
    return true;
  }

  /**
   * Reads the driver's index. What it published before moving the index on is visible afterwards.
   */
  private boolean lookForMore() {
    int index = Short.toUnsignedInt(memory.getShortAcquire(available + AVAILABLE_INDEX));
    int pending = (index - nextAvailable) & 0xffff;
    if (pending > size) {
      throw new VirtqueueException(
          Fault.AVAILABLE_INDEX,
          "from %d to %d in a ring of %d".formatted(nextAvailable, index, size));
    }
    seenAvailable = index;
    return pending > 0;
  }

  /** Follows the chain through the descriptor table and, at most once, into an indirect one. */
  private void walk(int head, DescriptorChain chain) {
    long table = descriptors;
    long entries = size;
    long index = head;
    boolean inIndirect = false;
    while (true) {
      long descriptor = table + index * DESCRIPTOR_BYTES;
      long address = memory.getLong(descriptor);
      // Length, flags and next in one read: none can change after it was looked at.
      long rest = memory.getLong(descriptor + 8);
      long length = rest & 0xffff_ffffL;
      int flags = (int) (rest >>> 32) & 0xffff;
      if ((flags & DESCRIPTOR_INDIRECT) != 0) {
        checkIndirect(flags, address, length, inIndirect);
        inIndirect = true;
        table = address;
        entries = length / DESCRIPTOR_BYTES;
        index = 0;
        continue;
      }
      if (chain.isFull()) {
        throw new VirtqueueException(Fault.CHAIN_TOO_LONG, "head " + head);
      }
      chain.add(address, length, (flags & DESCRIPTOR_WRITE) != 0);
      if ((flags & DESCRIPTOR_NEXT) == 0) {
        return;
      }
      index = rest >>> 48;
      if (index >= entries) {
        throw new VirtqueueException(Fault.NEXT_OUT_OF_RANGE, index + " of " + entries);
      }
    }
  }

  private void checkIndirect(int flags, long address, long length, boolean nested) {
    if (!indirect) {
      throw new VirtqueueException(Fault.INDIRECT_NOT_NEGOTIATED, "descriptor");
    }
    if (nested) {
      throw new VirtqueueException(Fault.INDIRECT_NESTED, "descriptor");
    }
    if ((flags & DESCRIPTOR_NEXT) != 0) {
      throw new VirtqueueException(Fault.INDIRECT_WITH_NEXT, "descriptor");
    }
    if (length == 0 || length % DESCRIPTOR_BYTES != 0) {
      throw new VirtqueueException(Fault.INDIRECT_LENGTH, length + " bytes");
    }
    if (!memory.contains(address, length)) {
      throw new VirtqueueException(
          Fault.INDIRECT_OUTSIDE_MEMORY, "%d bytes at 0x%x".formatted(length, address));
    }
  }

  /**
   * Returns a chain to the driver.
   *
   * @param written bytes from the start of the writable part that the device is sure to have
   *     written (2.7.8.2)
   */
  public void complete(DescriptorChain chain, int written) {
    addUsed(chain.head(), written);
    publishUsed();
  }

  /**
   * Puts a chain into the used ring, where the driver does not see it before {@link #publishUsed}:
   * for chains that have to be returned together.
   *
   * @param head that of the chain
   * @param written as for {@link #complete}
   */
  public void addUsed(int head, int written) {
    QueueRecorder recorder = trace.recorder();
    if (recorder != null) {
      recorder.returned(head, written);
    }
    long element = used + USED_RING + (long) (nextUsed & (size - 1)) * USED_ELEMENT_BYTES;
    memory.putInt(element, head);
    memory.putInt(element + 4, written);
    nextUsed = (nextUsed + 1) & 0xffff;
    inUse[head] = false;
  }

  /** Shows the driver all that was put into the used ring. */
  public void publishUsed() {
    memory.putShortRelease(used + USED_INDEX, (short) nextUsed);
  }

  /** Whether chains were returned since {@link #interruptWanted} was last asked. */
  public boolean hasNews() {
    return signalledUsed != nextUsed;
  }

  /**
   * Whether the driver wants an interrupt for the chains returned since this was last asked
   * (2.7.7).
   */
  public boolean interruptWanted() {
    // The driver says what it wants, then looks at the index; we publish the index, then look at
    // what it wants.
    VarHandle.fullFence();
    int before = signalledUsed;
    signalledUsed = nextUsed;
    if (eventIndex) {
      return passes(Short.toUnsignedInt(memory.getShort(usedEvent)), nextUsed, before);
    }
    return before != nextUsed && (memory.getShort(available) & AVAILABLE_NO_INTERRUPT) == 0;
  }

  /**
   * Whether moving an index from {@code before} to {@code now} passes {@code event} (2.7.7.1,
   * vring_need_event).
   */
  static boolean passes(int event, int now, int before) {
    return ((now - event - 1) & 0xffff) < ((now - before) & 0xffff);
  }

  /** Tells the driver that the device is at work and needs no notification (2.7.10). */
  public void disableNotifications() {
    if (!eventIndex) { // An event index that was passed asks for none.
      memory.putShort(used, USED_NO_NOTIFY);
    }
  }

  /**
   * Whether a chain is available.
   *
   * @throws VirtqueueException if the driver's index is not legal
   */
  public boolean hasMore() {
    return seenAvailable != nextAvailable || lookForMore();
  }

  /**
   * Asks the driver for a notification of the next chain.
   *
   * @return true if one became available meanwhile: take it, no notification may come for it
   */
  public boolean enableNotifications() {
    if (eventIndex) {
      memory.putShort(availableEvent, (short) nextAvailable);
    } else {
      memory.putShort(used, (short) 0);
    }
    VarHandle.fullFence();
    return hasMore();
  }
}
