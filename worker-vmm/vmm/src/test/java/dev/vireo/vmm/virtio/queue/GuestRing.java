package dev.vireo.vmm.virtio.queue;

import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.GuestMemory.Region;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * A driver's side of a split virtqueue, and the guest memory it is in: 1 MiB from 0, a hole, and 1
 * MiB from 4 GiB. It does what it is told, legal or not.
 */
public final class GuestRing {
  public static final long RAM_END = 0x10_0000;
  public static final long HIGH_RAM = 0x1_0000_0000L;
  public static final long HIGH_RAM_END = HIGH_RAM + RAM_END;

  /** Where nothing else is, for buffers. */
  public static final long BUFFERS = 0x1_0000;

  public static final int NEXT = 1;
  public static final int WRITE = 2;
  public static final int INDIRECT = 4;

  /** What a queue takes, below {@link #BUFFERS} if it is the first. */
  private static final long QUEUE_BYTES = 0x7000;

  private final long descriptors;
  private final long available;
  private final long used;
  private final GuestMemory memory;
  private final int size;
  private int availableIndex;
  private int seenUsed;

  public GuestRing(int size) {
    MemorySegment low = Arena.ofAuto().allocate(RAM_END, 4096);
    MemorySegment high = Arena.ofAuto().allocate(RAM_END, 4096);
    this(new GuestMemory(List.of(new Region(0, low), new Region(HIGH_RAM, high))), size);
  }

  /** In memory that has {@link #RAM_END} bytes from 0 at least. */
  public GuestRing(GuestMemory memory, int size) {
    this(memory, size, 0x1000);
  }

  /** At {@code base} in memory that other queues are in too. */
  public GuestRing(GuestMemory memory, int size, long base) {
    this.memory = memory;
    this.size = size;
    this.descriptors = base;
    this.available = base + 0x3000;
    this.used = base + 0x5000;
  }

  public GuestMemory memory() {
    return memory;
  }

  public QueueSetup setup() {
    return new QueueSetup(size, descriptors, available, used);
  }

  /** Writes entry {@code index} of the descriptor table. */
  public GuestRing descriptor(int index, long address, long length, int flags, int next) {
    return descriptor(descriptors, index, address, length, flags, next);
  }

  /** Writes entry {@code index} of the table at {@code table}. */
  public GuestRing descriptor(
      long table, int index, long address, long length, int flags, int next) {
    long at = table + 16L * index;
    memory.putLong(at, address);
    memory.putInt(at + 8, (int) length);
    memory.putShort(at + 12, (short) flags);
    memory.putShort(at + 14, (short) next);
    return this;
  }

  /** Puts a head into the available ring and moves the index on. */
  public GuestRing offer(int head) {
    memory.putShort(available + 4 + 2L * (availableIndex & (size - 1)), (short) head);
    return moveIndexTo(availableIndex + 1);
  }

  /** Sets the available index, whatever is in the ring. */
  public GuestRing moveIndexTo(int index) {
    availableIndex = index & 0xffff;
    memory.putShortRelease(available + 2, (short) availableIndex);
    return this;
  }

  /** Whether the device asks to be notified of what was offered since {@code before}, by flag. */
  public boolean notificationsWanted() {
    return memory.getShort(used) == 0;
  }

  /** The available index at which the device wants a notification. */
  public int availableEvent() {
    return Short.toUnsignedInt(memory.getShort(used + 4 + 8L * size));
  }

  /** Asks for an interrupt once the used index passes {@code index}. */
  public GuestRing usedEvent(int index) {
    memory.putShort(available + 4 + 2L * size, (short) index);
    return this;
  }

  /** Sets or clears the flag that no interrupt is wanted. */
  public GuestRing noInterrupt(boolean set) {
    memory.putShort(available, (short) (set ? 1 : 0));
    return this;
  }

  public int usedIndex() {
    return Short.toUnsignedInt(memory.getShortAcquire(used + 2));
  }

  /** What the device returned. */
  public record Used(int head, int written) {}

  public Used used(int index) {
    long element = used + 4 + 8L * (index & (size - 1));
    return new Used(memory.getInt(element), memory.getInt(element + 4));
  }

  public boolean hasUsed() {
    return usedIndex() != seenUsed;
  }

  /** The next that the device returned. */
  public Used takeUsed() {
    if (!hasUsed()) {
      throw new IllegalStateException("nothing was returned");
    }
    Used result = used(seenUsed);
    seenUsed = (seenUsed + 1) & 0xffff;
    return result;
  }

  /** Zeroes the rings, as a driver does before it sets a queue up again. */
  public GuestRing clear() {
    memory.write(descriptors, new byte[(int) QUEUE_BYTES]);
    availableIndex = 0;
    seenUsed = 0;
    return this;
  }
}
