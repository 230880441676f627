package dev.vireo.vmm.virtio.vsock;

import dev.vireo.linux.MemoryMapping;
import dev.vireo.vmm.memory.IoVector;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;

/**
 * Bytes of the guest that a process of the host does not take yet: a ring as large as the credit
 * that a guest has. A connection has one only while it needs it.
 */
final class SendBuffer {
  /** What a guest may have on its way to the host in one connection. */
  static final int CAPACITY = 64 << 10;

  private final MemoryMapping memory = MemoryMapping.anonymous(CAPACITY);
  private int start;
  private int length;

  private SendBuffer() {}

  boolean isEmpty() {
    return length == 0;
  }

  int length() {
    return length;
  }

  /** Appends {@code count} bytes of a chain, for which there must be room. */
  void append(DescriptorChain chain, long from, int count) {
    if (count > CAPACITY - length) {
      throw new IllegalArgumentException(count + " bytes, room for " + (CAPACITY - length));
    }
    int end = (start + length) % CAPACITY;
    int first = Math.min(count, CAPACITY - end);
    chain.read(from, first, memory.segment(), end);
    chain.read(from + first, count - first, memory.segment(), 0);
    length += count;
  }

  /** Adds all of it to {@code vector}, in order. */
  void gather(IoVector vector) {
    int first = Math.min(length, CAPACITY - start);
    vector.add(memory.segment().asSlice(start, first));
    if (first < length) {
      vector.add(memory.segment().asSlice(0, length - first));
    }
  }

  /** Forgets the first {@code count} bytes. */
  void remove(int count) {
    start = (start + count) % CAPACITY;
    length -= count;
  }

  /**
   * The buffers of a device: made when one is needed, and no more than {@link #MOST}. A few that
   * are free are kept, since who lags once does so again; the memory of the others goes back.
   */
  static final class Pool implements AutoCloseable {
    /** 32 MiB: what the peers of a guest can make it cost by not reading. */
    static final int MOST = 512;

    private static final int KEPT = 8;

    private final ArrayDeque<SendBuffer> free = new ArrayDeque<>();
    private int used;

    /** An empty buffer, or null if there are too many. */
    @Nullable SendBuffer take() {
      if (used == MOST) {
        return null;
      }
      used++;
      SendBuffer kept = free.pollLast();
      return kept == null ? new SendBuffer() : kept;
    }

    void giveBack(SendBuffer buffer) {
      used--;
      if (free.size() == KEPT) {
        buffer.memory.close();
        return;
      }
      buffer.start = 0;
      buffer.length = 0;
      free.addLast(buffer);
    }

    /** Frees those that were given back. */
    @Override
    public void close() {
      free.forEach(buffer -> buffer.memory.close());
      free.clear();
    }
  }
}
