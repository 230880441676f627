package dev.vireo.vmm.virtio.queue;

import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.IoVector;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * One request's buffers, as {@link Virtqueue#pop} read them: first those the device may read, then
 * those it may write. Each part is seen as one run of bytes, wherever the driver cut it (VIRTIO
 * 1.2, section 2.7.4: no assumption about framing).
 *
 * <p>Holds what was read, not where: the guest can change its descriptors afterwards to no effect.
 * Made once for a queue and filled anew by each pop.
 */
public final class DescriptorChain {
  private final GuestMemory memory;
  private final long[] addresses;
  private final long[] lengths;
  private int head;
  private int count;
  private int readableCount;
  private long readableBytes;
  private long writableBytes;
  private boolean lastIsWritable;
  private @Nullable ChainDefect defect;

  /**
   * @param capacity buffers it can hold: the queue's size
   */
  public DescriptorChain(GuestMemory memory, int capacity) {
    this.memory = memory;
    this.addresses = new long[capacity];
    this.lengths = new long[capacity];
  }

  /**
   * Why this is no request, or null. With a defect, buffers may lie outside guest memory and access
   * may fail.
   */
  public @Nullable ChainDefect defect() {
    return defect;
  }

  /** Index of the first descriptor, by which the chain is returned. */
  public int head() {
    return head;
  }

  /** Buffers of both kinds. */
  public int count() {
    return count;
  }

  /** Those of them that the device may read; they come first. */
  public int readableCount() {
    return readableCount;
  }

  /** The guest's address of buffer {@code index}, {@code 0 <= index < count()}. */
  public long bufferAddress(int index) {
    return addresses[Objects.checkIndex(index, count)];
  }

  /** Bytes of buffer {@code index}. */
  public long bufferLength(int index) {
    return lengths[Objects.checkIndex(index, count)];
  }

  /** Bytes the device may read. */
  public long readableBytes() {
    return readableBytes;
  }

  /** Bytes the device may write. */
  public long writableBytes() {
    return writableBytes;
  }

  /** The readable byte at {@code from}. */
  public byte getByte(long from) {
    checkRange(from, 1, readableBytes);
    return (byte) getInPieces(from, 1);
  }

  /** The four readable bytes from {@code from} on, little-endian. */
  public int getInt(long from) {
    checkRange(from, Integer.BYTES, readableBytes);
    return isInFirst(from, Integer.BYTES)
        ? memory.getInt(addresses[0] + from)
        : (int) getInPieces(from, Integer.BYTES);
  }

  /** The eight readable bytes from {@code from} on, little-endian. */
  public long getLong(long from) {
    checkRange(from, Long.BYTES, readableBytes);
    return isInFirst(from, Long.BYTES)
        ? memory.getLong(addresses[0] + from)
        : getInPieces(from, Long.BYTES);
  }

  /** The usual case: a header in one piece. */
  private boolean isInFirst(long from, int width) {
    return from <= lengths[0] - width;
  }

  private long getInPieces(long from, int width) {
    long value = 0;
    int i = 0;
    long offset = from;
    for (int shift = 0; shift < width * Byte.SIZE; shift += Byte.SIZE, offset++) {
      for (; offset >= lengths[i]; i++) {
        offset -= lengths[i];
      }
      value |= Byte.toUnsignedLong(memory.getByte(addresses[i] + offset)) << shift;
    }
    return value;
  }

  /** Copies {@code length} readable bytes from {@code from} on to {@code offset} in a segment. */
  public void read(long from, long length, MemorySegment target, long offset) {
    checkRange(from, length, readableBytes);
    long skip = from;
    long done = 0;
    for (int i = 0; done < length; i++) {
      long here = Math.min(lengths[i] - skip, length - done);
      if (here > 0) {
        memory.read(addresses[i] + skip, here, target, offset + done);
        done += here;
        skip = 0;
      } else {
        skip -= lengths[i];
      }
    }
  }

  /** Writes four bytes, little-endian, to the writable bytes from {@code from} on. */
  public void putInt(long from, int value) {
    checkRange(from, Integer.BYTES, writableBytes);
    if (from <= lengths[readableCount] - Integer.BYTES) {
      memory.putInt(addresses[readableCount] + from, value);
    } else {
      putInPieces(from, Integer.BYTES, value);
    }
  }

  /** Writes eight bytes, little-endian, to the writable bytes from {@code from} on. */
  public void putLong(long from, long value) {
    checkRange(from, Long.BYTES, writableBytes);
    if (from <= lengths[readableCount] - Long.BYTES) {
      memory.putLong(addresses[readableCount] + from, value);
    } else {
      putInPieces(from, Long.BYTES, value);
    }
  }

  private void putInPieces(long from, int width, long value) {
    int i = readableCount;
    long offset = from;
    for (int shift = 0; shift < width * Byte.SIZE; shift += Byte.SIZE, offset++) {
      for (; offset >= lengths[i]; i++) {
        offset -= lengths[i];
      }
      memory.putByte(addresses[i] + offset, (byte) (value >>> shift));
    }
  }

  /** Copies all of {@code source} to the writable bytes from {@code from} on. */
  public void write(long from, byte[] source) {
    checkRange(from, source.length, writableBytes);
    int i = readableCount;
    long offset = from;
    for (byte value : source) {
      for (; offset >= lengths[i]; i++) {
        offset -= lengths[i];
      }
      memory.putByte(addresses[i] + offset, value);
      offset++;
    }
  }

  /** Copies all of {@code source} to the writable bytes from {@code from} on. */
  public void write(long from, MemorySegment source) {
    checkRange(from, source.byteSize(), writableBytes);
    long offset = from;
    long done = 0;
    for (int i = readableCount; done < source.byteSize(); i++) {
      long here = Math.min(lengths[i] - offset, source.byteSize() - done);
      if (here > 0) {
        memory.slice(addresses[i] + offset, here).copyFrom(source.asSlice(done, here));
        done += here;
        offset = 0;
      } else {
        offset -= lengths[i];
      }
    }
  }

  /**
   * The guest's address of the writable byte at {@code offset}, for a device that writes it later.
   */
  public long writableAddress(long offset) {
    checkRange(offset, 1, writableBytes);
    int i = readableCount;
    long left = offset;
    for (; left >= lengths[i]; i++) {
      left -= lengths[i];
    }
    return addresses[i] + left;
  }

  /**
   * Writes the chain's last byte, where many devices want their status. Works on a chain with a
   * defect too, if its last buffer is sound.
   *
   * @return false if the last buffer is not one the device may write
   */
  public boolean writeLast(byte value) {
    int last = count - 1;
    if (!lastIsWritable || lengths[last] == 0 || !memory.contains(addresses[last], lengths[last])) {
      return false;
    }
    memory.putByte(addresses[last] + lengths[last] - 1, value);
    return true;
  }

  /** The guest's address of the chain's last byte, for a device that writes its status later. */
  public long lastAddress() {
    return addresses[count - 1] + lengths[count - 1] - 1;
  }

  /** Adds the {@code length} readable bytes from {@code from} on to {@code vector}. */
  public void gatherReadable(long from, long length, IoVector vector) {
    checkRange(from, length, readableBytes);
    gather(0, from, length, vector);
  }

  /** Adds the {@code length} writable bytes from {@code from} on to {@code vector}. */
  public void gatherWritable(long from, long length, IoVector vector) {
    checkRange(from, length, writableBytes);
    gather(readableCount, from, length, vector);
  }

  private void gather(int first, long from, long length, IoVector vector) {
    long offset = from;
    long left = length;
    for (int i = first; left > 0; i++) {
      long here = Math.min(lengths[i] - offset, left);
      if (here > 0) {
        vector.add(addresses[i] + offset, here);
        left -= here;
        offset = 0;
      } else {
        offset -= lengths[i];
      }
    }
  }

  private static void checkRange(long from, long length, long available) {
    if (from < 0 || length < 0 || from > available - length) {
      throw new IndexOutOfBoundsException(
          "%d bytes from %d of %d".formatted(length, from, available));
    }
  }

  /** Starts anew with the chain of {@code head}. */
  void begin(int head) {
    this.head = head;
    count = 0;
    readableCount = 0;
    readableBytes = 0;
    writableBytes = 0;
    defect = null;
  }

  boolean isFull() {
    return count == addresses.length;
  }

  /** Appends a buffer, and finds what is wrong with it. */
  void add(long address, long length, boolean writable) {
    if (length == 0) {
      spoil(ChainDefect.EMPTY_BUFFER);
    } else if (!memory.contains(address, length)) {
      spoil(ChainDefect.BUFFER_OUTSIDE_MEMORY);
    }
    addresses[count] = address;
    lengths[count] = length;
    count++;
    lastIsWritable = writable;
    if (writable) {
      writableBytes += length;
    } else {
      if (readableCount != count - 1) {
        spoil(ChainDefect.READABLE_AFTER_WRITABLE);
      }
      readableCount++;
      readableBytes += length;
    }
    if (readableBytes + writableBytes > 0xffff_ffffL) {
      spoil(ChainDefect.TOO_MANY_BYTES);
    }
  }

  private void spoil(ChainDefect found) {
    if (defect == null) {
      defect = found;
    }
  }
}
