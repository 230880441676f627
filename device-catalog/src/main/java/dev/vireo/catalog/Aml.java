package dev.vireo.catalog;

import java.nio.charset.StandardCharsets;

/**
 * Encodes the few ACPI machine language terms that a DSDT of ours needs (ACPI 6.3, chapter 20).
 * Each method returns one encoded term; terms nest by concatenation.
 */
final class Aml {
  private static final int NAME_OP = 0x08;
  private static final int BYTE_PREFIX = 0x0a;
  private static final int WORD_PREFIX = 0x0b;
  private static final int DWORD_PREFIX = 0x0c;
  private static final int STRING_PREFIX = 0x0d;
  private static final int SCOPE_OP = 0x10;
  private static final int BUFFER_OP = 0x11;
  private static final int PACKAGE_OP = 0x12;
  private static final int EXTENDED_OP_PREFIX = 0x5b;
  private static final int DEVICE_OP = 0x82;

  private Aml() {}

  static byte[] scope(String name, byte[]... terms) {
    return new TableWriter().u8(SCOPE_OP).raw(sized(name(name), join(terms))).toBytes();
  }

  static byte[] device(String name, byte[]... terms) {
    return new TableWriter()
        .u8(EXTENDED_OP_PREFIX)
        .u8(DEVICE_OP)
        .raw(sized(name(name), join(terms)))
        .toBytes();
  }

  static byte[] named(String name, byte[] value) {
    return new TableWriter().u8(NAME_OP).raw(name(name)).raw(value).toBytes();
  }

  static byte[] integer(int value) {
    TableWriter out = new TableWriter();
    if (value == 0 || value == 1) {
      return out.u8(value).toBytes(); // ZeroOp, OneOp
    }
    if (value >>> 8 == 0) {
      return out.u8(BYTE_PREFIX).u8(value).toBytes();
    }
    if (value >>> 16 == 0) {
      return out.u8(WORD_PREFIX).u16(value).toBytes();
    }
    return out.u8(DWORD_PREFIX).u32(value).toBytes();
  }

  static byte[] string(String value) {
    return new TableWriter()
        .u8(STRING_PREFIX)
        .raw(value.getBytes(StandardCharsets.US_ASCII))
        .u8(0)
        .toBytes();
  }

  /**
   * An EISA id such as {@code PNP0501}: three letters of 5 bits, four hexadecimal digits,
   * big-endian.
   */
  static byte[] eisaId(String id) {
    int letters = (id.charAt(0) - '@') << 10 | (id.charAt(1) - '@') << 5 | (id.charAt(2) - '@');
    return integer(Integer.reverseBytes(letters << 16 | Integer.parseInt(id.substring(3), 16)));
  }

  static byte[] packageOf(byte[]... elements) {
    return new TableWriter()
        .u8(PACKAGE_OP)
        .raw(sized(new byte[] {(byte) elements.length}, join(elements)))
        .toBytes();
  }

  /** Resource descriptors (ACPI 6.3, section 6.4), closed by an end tag. */
  static byte[] resources(byte[]... descriptors) {
    byte[] body = new TableWriter().raw(join(descriptors)).u8(0x79).u8(0).toBytes();
    return new TableWriter().u8(BUFFER_OP).raw(sized(integer(body.length), body)).toBytes();
  }

  static byte[] memory32Fixed(long base, long size) {
    return new TableWriter().u8(0x86).u16(9).u8(/* read-write */ 1).u32(base).u32(size).toBytes();
  }

  /** As irqfd delivers it: edge-triggered, active high, not shared. */
  static byte[] edgeInterrupt(int gsi) {
    return new TableWriter().u8(0x89).u16(6).u8(/* consumer, edge */ 3).u8(1).u32(gsi).toBytes();
  }

  static byte[] ports(int first, int count) {
    return new TableWriter()
        .u8(0x47)
        .u8(/* decodes 16 bits */ 1)
        .u16(first)
        .u16(first)
        .u8(/* alignment */ 1)
        .u8(count)
        .toBytes();
  }

  static byte[] isaInterrupt(int irq) {
    return new TableWriter().u8(0x22).u16(1 << irq).toBytes();
  }

  private static byte[] name(String name) {
    return name.getBytes(StandardCharsets.US_ASCII);
  }

  /** PkgLength (section 20.2.4), which counts itself, then the contents. */
  private static byte[] sized(byte[] head, byte[] body) {
    int contents = head.length + body.length;
    int bytes = contents + 1 < 1 << 6 ? 1 : contents + 2 < 1 << 12 ? 2 : 3;
    int length = contents + bytes;
    TableWriter out = new TableWriter();
    switch (bytes) {
      case 1 -> out.u8(length);
      case 2 -> out.u8(0x40 | (length & 0xf)).u8(length >>> 4);
      default -> out.u8(0x80 | (length & 0xf)).u16(length >>> 4);
    }
    return out.raw(head).raw(body).toBytes();
  }

  private static byte[] join(byte[]... parts) {
    TableWriter out = new TableWriter();
    for (byte[] part : parts) {
      out.raw(part);
    }
    return out.toBytes();
  }
}
