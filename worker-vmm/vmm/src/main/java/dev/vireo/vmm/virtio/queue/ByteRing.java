package dev.vireo.vmm.virtio.queue;

import dev.vireo.linux.MemoryMapping;
import dev.vireo.vmm.memory.IoVector;
import java.lang.foreign.ValueLayout;

/**
 * Bytes of a guest, in order, that a process of the host does not take yet: a ring of memory
 * outside the Java heap, which costs nothing before it is written to.
 */
public class ByteRing {
  private final MemoryMapping memory;
  private final int capacity;
  private int start;
  private int length;

  public ByteRing(int capacity) {
    this.capacity = capacity;
    this.memory = MemoryMapping.anonymous(capacity);
  }

  public final boolean isEmpty() {
    return length == 0;
  }

  public final int length() {
    return length;
  }

  /** Bytes that can be appended. */
  public final int room() {
    return capacity - length;
  }

  /**
   * Appends {@code count} readable bytes of a chain.
   *
   * @throws IllegalArgumentException if there is no room for them
   */
  public final void append(DescriptorChain chain, long from, int count) {
    checkRoom(count);
    int end = (start + length) % capacity;
    int first = Math.min(count, capacity - end);
    chain.read(from, first, memory.segment(), end);
    chain.read(from + first, count - first, memory.segment(), 0);
    length += count;
  }

  /**
   * Appends a byte.
   *
   * @throws IllegalArgumentException if there is no room for it
   */
  public final void append(byte value) {
    checkRoom(1);
    memory.segment().set(ValueLayout.JAVA_BYTE, (start + length) % capacity, value);
    length++;
  }

  private void checkRoom(int count) {
    if (count > room()) {
      throw new IllegalArgumentException(count + " bytes, room for " + room());
    }
  }

  /** Adds all of it to {@code vector}, in order. */
  public final void gather(IoVector vector) {
    int first = Math.min(length, capacity - start);
    vector.add(memory.segment().asSlice(start, first));
    if (first < length) {
      vector.add(memory.segment().asSlice(0, length - first));
    }
  }

  /** Forgets the first {@code count} bytes. */
  public final void remove(int count) {
    start = (start + count) % capacity;
    length -= count;
  }

  /** Forgets all of it. */
  public final void clear() {
    start = 0;
    length = 0;
  }

  /** Gives the memory back; nothing may be done with this any more. */
  public final void free() {
    memory.close();
  }
}
