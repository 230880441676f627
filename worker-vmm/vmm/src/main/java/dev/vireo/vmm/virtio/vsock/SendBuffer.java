package dev.vireo.vmm.virtio.vsock;

import dev.vireo.vmm.virtio.queue.ByteRing;
import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;

/**
 * Bytes of the guest that a process of the host does not take yet: as many as the credit that a
 * guest has. A connection has one only while it needs it.
 */
final class SendBuffer extends ByteRing {
  /** What a guest may have on its way to the host in one connection. */
  static final int CAPACITY = 64 << 10;

  private SendBuffer() {
    super(CAPACITY);
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
        buffer.free();
        return;
      }
      buffer.clear();
      free.addLast(buffer);
    }

    /** Frees those that were given back. */
    @Override
    public void close() {
      free.forEach(SendBuffer::free);
      free.clear();
    }
  }
}
