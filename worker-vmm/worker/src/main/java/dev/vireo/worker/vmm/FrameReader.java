package dev.vireo.worker.vmm;

import dev.vireo.linux.MessageSocket;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Cuts a stream of varint-length-delimited messages out of whatever pieces arrive, so that a VMM
 * that stops in the middle of one holds up nobody.
 */
final class FrameReader {
  private static final int MAX_VARINT_BYTES = 5;

  private byte[] buffer = new byte[512];
  private int start;
  private int end;

  /** A length that no message has: what follows cannot be trusted. */
  static final class BrokenFrameException extends Exception {
    private static final long serialVersionUID = 1L;

    BrokenFrameException(String message) {
      super(message);
    }
  }

  /** Adds what was read. */
  void append(MemorySegment bytes) {
    int count = (int) bytes.byteSize();
    if (start > 0) {
      System.arraycopy(buffer, start, buffer, 0, end - start);
      end -= start;
      start = 0;
    }
    if (buffer.length < end + count) {
      buffer = Arrays.copyOf(buffer, Math.max(end + count, 2 * buffer.length));
    }
    MemorySegment.copy(bytes, ValueLayout.JAVA_BYTE, 0, buffer, end, count);
    end += count;
  }

  /** The next whole message; null until more has arrived. */
  byte @Nullable [] next() throws BrokenFrameException {
    long length = 0;
    for (int i = 0; i < MAX_VARINT_BYTES; i++) {
      if (start + i == end) {
        return null;
      }
      byte octet = buffer[start + i];
      length |= (long) (octet & 0x7f) << (7 * i);
      if (octet >= 0) {
        return body(start + i + 1, length);
      }
    }
    throw new BrokenFrameException("a length of more than five bytes");
  }

  private byte @Nullable [] body(int from, long length) throws BrokenFrameException {
    if (length > MessageSocket.MAX_MESSAGE_BYTES) {
      throw new BrokenFrameException("a message of " + length + " bytes");
    }
    if (end - from < length) {
      return null;
    }
    start = from + (int) length;
    return Arrays.copyOfRange(buffer, from, start);
  }
}
