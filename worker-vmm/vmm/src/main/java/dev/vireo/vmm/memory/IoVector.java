package dev.vireo.vmm.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Ranges of guest memory as {@code preadv(2)} and {@code pwritev(2)} take them: an array of {@code
 * struct iovec}. Made once and filled anew for each request, or used as a queue: ranges come in at
 * the end and leave at the front. Only {@link GuestMemory} and memory of our own give it addresses,
 * so a system call on it cannot touch anything else. Not for more than one thread at a time.
 */
public final class IoVector {
  private static final long ENTRY_BYTES = 16;

  private final GuestMemory memory;
  private final MemorySegment entries;
  private final int capacity;
  private int first;
  private int end;
  private long bytes;
  private long addressBits;
  private long lengthBits;

  /**
   * @param capacity ranges it can hold, at most 1,024 (IOV_MAX)
   */
  public IoVector(GuestMemory memory, int capacity) {
    this(memory, capacity, Arena.ofAuto());
  }

  /**
   * The same with its array in {@code arena}. For where there may be many: those of an automatic
   * arena count as direct buffers, of which a JVM has few.
   */
  public IoVector(GuestMemory memory, int capacity, Arena arena) {
    this.memory = memory;
    this.capacity = capacity;
    this.entries = arena.allocate(capacity * ENTRY_BYTES, 8);
  }

  /** Forgets all ranges. */
  public void clear() {
    first = 0;
    end = 0;
    bytes = 0;
    addressBits = 0;
    lengthBits = 0;
  }

  /**
   * Adds a range of guest memory at the end.
   *
   * @throws GuestMemoryException if it is not wholly in guest memory
   * @throws IndexOutOfBoundsException if the vector is full
   */
  public void add(long address, long length) {
    append(memory.hostAddress(address, length), length);
  }

  /**
   * Adds memory of this process at the end.
   *
   * @param own native, and reachable until it is taken off again
   * @throws IndexOutOfBoundsException if the vector is full
   */
  public void add(MemorySegment own) {
    append(own.address(), own.byteSize());
  }

  private void append(long hostAddress, long length) {
    if (end == capacity) {
      makeRoom();
    }
    long entry = end * ENTRY_BYTES;
    entries.set(ValueLayout.JAVA_LONG, entry, hostAddress);
    entries.set(ValueLayout.JAVA_LONG, entry + 8, length);
    end++;
    bytes += length;
    addressBits |= hostAddress;
    lengthBits |= length;
  }

  /** Moves the ranges to where those that left have been. */
  private void makeRoom() {
    if (first == 0) {
      throw new IndexOutOfBoundsException("vector of " + capacity + " is full");
    }
    MemorySegment.copy(entries, first * ENTRY_BYTES, entries, 0, count() * ENTRY_BYTES);
    end -= first;
    first = 0;
  }

  /** Takes the last range off again. */
  public void removeLast() {
    if (count() == 0) {
      throw new IndexOutOfBoundsException("no range to remove");
    }
    end--;
    bytes -= entries.get(ValueLayout.JAVA_LONG, end * ENTRY_BYTES + 8);
  }

  /** Takes the first {@code count} bytes away, which a system call has transferred. */
  public void skip(long count) {
    if (count < 0 || count > bytes) {
      throw new IndexOutOfBoundsException("skip %d of %d bytes".formatted(count, bytes));
    }
    bytes -= count;
    long left = count;
    while (left > 0) {
      long length = firstLength();
      if (left < length) {
        long entry = first * ENTRY_BYTES;
        entries.set(ValueLayout.JAVA_LONG, entry, firstAddress() + left);
        entries.set(ValueLayout.JAVA_LONG, entry + 8, length - left);
        addressBits |= left; // What is aligned no longer is, unless this is too.
        lengthBits |= left;
        return;
      }
      left -= length;
      first++;
    }
  }

  /** Bytes in all ranges. */
  public long bytes() {
    return bytes;
  }

  /**
   * The bits that are set in the address of any range since {@link #clear}: those of an alignment
   * are all 0 if every range has it.
   */
  public long addressBits() {
    return addressBits;
  }

  /** As well, of the ranges' lengths. */
  public long lengthBits() {
    return lengthBits;
  }

  /** How many ranges can be added. */
  public int room() {
    return capacity - count();
  }

  /** How many ranges. */
  public int count() {
    return end - first;
  }

  /** The address in this process of the array, for as long as that is there. */
  public long address() {
    return entries.address() + first * ENTRY_BYTES;
  }

  /** The address in this process of the first range. */
  public long firstAddress() {
    return entries.get(ValueLayout.JAVA_LONG, first * ENTRY_BYTES);
  }

  /** Bytes in the first range. */
  public long firstLength() {
    return entries.get(ValueLayout.JAVA_LONG, first * ENTRY_BYTES + 8);
  }
}
