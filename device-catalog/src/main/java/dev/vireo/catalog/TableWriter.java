package dev.vireo.catalog;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

/** Writes the little-endian fields of a firmware table, one after the other. */
final class TableWriter {
  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

  TableWriter u8(int value) {
    bytes.write(value);
    return this;
  }

  TableWriter u16(int value) {
    return u8(value).u8(value >>> 8);
  }

  TableWriter u32(long value) {
    return u16((int) value).u16((int) (value >>> 16));
  }

  TableWriter u64(long value) {
    return u32(value).u32(value >>> 32);
  }

  TableWriter raw(byte[] value) {
    bytes.writeBytes(value);
    return this;
  }

  TableWriter zeros(int count) {
    return raw(new byte[count]);
  }

  /** Text in exactly {@code width} bytes, filled up with blanks. */
  TableWriter text(String value, int width) {
    if (value.length() > width) {
      throw new IllegalArgumentException("'%s' is longer than %d".formatted(value, width));
    }
    return raw(value.getBytes(StandardCharsets.US_ASCII))
        .raw(" ".repeat(width - value.length()).getBytes(StandardCharsets.US_ASCII));
  }

  int size() {
    return bytes.size();
  }

  byte[] toBytes() {
    return bytes.toByteArray();
  }

  /** Sets {@code table[checksumOffset]} so that the first {@code length} bytes add up to zero. */
  static byte[] checksummed(byte[] table, int length, int checksumOffset) {
    table[checksumOffset] = 0;
    int sum = 0;
    for (int i = 0; i < length; i++) {
      sum += table[i];
    }
    table[checksumOffset] = (byte) -sum;
    return table;
  }
}
