package dev.vireo.oci;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;

/**
 * A zstd stream without its skippable frames (RFC 8878, "Skippable Frames"), of which the library
 * knows nothing. What is no zstd is handed on, for the library to complain of.
 */
final class ZstdFrames extends InputStream {
  private static final byte[] MAGIC = {0x28, (byte) 0xb5, 0x2f, (byte) 0xfd};
  private static final byte[] SKIPPABLE = {0x50, 0x2a, 0x4d, 0x18};
  private static final int BLOCK_HEADER_BYTES = 3;
  private static final int RUN_LENGTH = 1;
  private static final int CHECKSUM_BYTES = 4;

  /** By the two highest bits of a frame's descriptor. */
  private static final int[] CONTENT_SIZE_BYTES = {0, 2, 4, 8};

  /** By the two lowest. */
  private static final int[] DICTIONARY_ID_BYTES = {0, 1, 2, 4};

  private final InputStream in;

  /** What was read of a header, and is handed on before what follows. */
  private byte[] header = {};

  private int handedOn;

  /** So many bytes behind the header are handed on as they are. */
  private long left;

  private boolean inFrame;
  private int checksumBytes;

  ZstdFrames(InputStream in) {
    this.in = in;
  }

  static boolean isZstd(byte[] first) {
    return Compression.startsWith(first, MAGIC) || isSkippable(first);
  }

  private static boolean isSkippable(byte[] first) {
    return first.length >= SKIPPABLE.length
        && (first[0] & 0xf0) == SKIPPABLE[0]
        && Arrays.equals(first, 1, SKIPPABLE.length, SKIPPABLE, 1, SKIPPABLE.length);
  }

  @Override
  public int read() throws IOException {
    byte[] one = new byte[1];
    return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
  }

  @Override
  public int read(byte[] buffer, int offset, int length) throws IOException {
    if (length == 0) {
      return 0;
    }
    while (handedOn == header.length && left == 0) {
      if (!next()) {
        return -1;
      }
    }
    if (handedOn < header.length) {
      int count = Math.min(length, header.length - handedOn);
      System.arraycopy(header, handedOn, buffer, offset, count);
      handedOn += count;
      return count;
    }
    int count = in.read(buffer, offset, Math.clamp(left, 0, length));
    left -= Math.max(0, count);
    return count;
  }

  /** Reads a header. Returns false at the end. */
  private boolean next() throws IOException {
    return inFrame ? nextBlock() : nextFrame();
  }

  private boolean nextFrame() throws IOException {
    byte[] magic = in.readNBytes(MAGIC.length);
    if (isSkippable(magic)) {
      in.skipNBytes(number(required(Integer.BYTES)));
      return true;
    }
    if (!Compression.startsWith(magic, MAGIC)) {
      handOn(magic, Long.MAX_VALUE);
      return magic.length > 0;
    }
    int descriptor = required(1)[0];
    boolean single = (descriptor & 0x20) != 0;
    int contentSize = CONTENT_SIZE_BYTES[(descriptor >> 6) & 3];
    int rest =
        (single ? 0 : 1)
            + DICTIONARY_ID_BYTES[descriptor & 3]
            + (single && contentSize == 0 ? 1 : contentSize);
    byte[] whole = Arrays.copyOf(magic, magic.length + 1 + rest);
    whole[magic.length] = (byte) descriptor;
    System.arraycopy(required(rest), 0, whole, magic.length + 1, rest);
    handOn(whole, 0);
    checksumBytes = (descriptor & 4) == 0 ? 0 : CHECKSUM_BYTES;
    inFrame = true;
    return true;
  }

  private boolean nextBlock() throws IOException {
    byte[] block = required(BLOCK_HEADER_BYTES);
    long number = number(block);
    boolean last = (number & 1) != 0;
    boolean run = ((number >> 1) & 3) == RUN_LENGTH;
    handOn(block, (run ? 1 : number >> 3) + (last ? checksumBytes : 0));
    inFrame = !last;
    return true;
  }

  private void handOn(byte[] read, long following) {
    header = read;
    handedOn = 0;
    left = following;
  }

  private byte[] required(int count) throws IOException {
    byte[] bytes = in.readNBytes(count);
    if (bytes.length < count) {
      throw new EOFException();
    }
    return bytes;
  }

  /** Little-endian. */
  private static long number(byte[] bytes) {
    long number = 0;
    for (int i = bytes.length - 1; i >= 0; i--) {
      number = (number << 8) | (bytes[i] & 0xff);
    }
    return number;
  }

  @Override
  public void close() throws IOException {
    in.close();
  }
}
