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
  private int start;
  private int limit;
  private int first;
  private int end;
  private long bytes;
  private long addressBits;
  private long lengthBits;

  /**
   * @param capacity ranges it can hold, at most 1,024 (IOV_MAX)
   */
  public IoVector(GuestMemory memory, int capacity) {
    this(memory, Arena.ofAuto().allocate(capacity * ENTRY_BYTES, 8));
  }

  /**
   * One that goes from place to place in an array that others keep: many vectors, of which it is
   * one at a time. All of the array until {@link #begin} or {@link #resume}.
   *
   * @param entries aligned to 8 bytes, and there for as long as this is used
   */
  public IoVector(GuestMemory memory, MemorySegment entries) {
    this.memory = memory;
    this.entries = entries;
    this.limit = (int) (entries.byteSize() / ENTRY_BYTES);
  }

  /** Forgets all ranges. */
  public void clear() {
    first = start;
    end = start;
    bytes = 0;
    addressBits = 0;
    lengthBits = 0;
  }

  /** Bytes of an array for so many ranges. */
  public static long arrayBytes(int ranges) {
    return ranges * ENTRY_BYTES;
  }

  /**
   * Is another vector from now on, without ranges. What was here stays in the array.
   *
   * @param place in ranges from the array's begin
   * @param capacity ranges it can hold
   */
  public void begin(int place, int capacity) {
    start = place;
    limit = place + capacity;
    clear();
  }

  /**
   * Is a vector again that it has been before, and that nobody has written over since.
   *
   * @param place its {@link #place}
   * @param count its {@link #count}
   */
  public void resume(int place, int count) {
    begin(place, count);
    end = limit;
    for (int i = first; i < end; i++) {
      addressBits |= entries.get(ValueLayout.JAVA_LONG, i * ENTRY_BYTES);
      long length = entries.get(ValueLayout.JAVA_LONG, i * ENTRY_BYTES + 8);
      lengthBits |= length;
      bytes += length;
    }
  }

  /** Where in the array the first range is. */
  public int place() {
    return first;
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
    if (end == limit) {
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
    if (first == start) {
      throw new IndexOutOfBoundsException("vector of " + (limit - start) + " is full");
    }
    MemorySegment.copy(
        entries, first * ENTRY_BYTES, entries, start * ENTRY_BYTES, count() * ENTRY_BYTES);
    end = start + count();
    first = start;
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
    return limit - start - count();
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
