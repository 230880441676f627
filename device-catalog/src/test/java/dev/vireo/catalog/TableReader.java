package dev.vireo.catalog;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** Reads fields of a firmware table, as a guest would. */
final class TableReader {
  private final ByteBuffer bytes;

  TableReader(byte[] bytes) {
    this.bytes = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  int u8(int offset) {
    return Byte.toUnsignedInt(bytes.get(offset));
  }

  int u16(int offset) {
    return Short.toUnsignedInt(bytes.getShort(offset));
  }

  long u32(int offset) {
    return Integer.toUnsignedLong(bytes.getInt(offset));
  }

  long u64(int offset) {
    return bytes.getLong(offset);
  }

  String text(int offset, int length) {
    return new String(bytes.array(), offset, length, StandardCharsets.US_ASCII);
  }

  int length() {
    return bytes.capacity();
  }

  /** The sum of bytes, modulo 256, which a checksum makes zero. */
  int sum(int offset, int length) {
    int sum = 0;
    for (int i = offset; i < offset + length; i++) {
      sum += bytes.get(i);
    }
    return sum & 0xff;
  }
}
