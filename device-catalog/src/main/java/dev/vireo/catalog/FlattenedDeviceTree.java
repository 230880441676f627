package dev.vireo.catalog;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Writes a devicetree blob, node by node (Devicetree Specification 0.4, chapter 5): begin and end
 * nodes, and give each its properties before its children.
 */
final class FlattenedDeviceTree {
  private static final int MAGIC = 0xd00dfeed;
  private static final int VERSION = 17;
  private static final int LAST_COMPATIBLE_VERSION = 16;
  private static final int HEADER_BYTES = 40;

  /** One entry of zeroes: nothing is reserved. */
  private static final int RESERVATION_BYTES = 16;

  private static final int BEGIN_NODE = 1;
  private static final int END_NODE = 2;
  private static final int PROPERTY = 3;
  private static final int END = 9;

  private final Bytes structure = new Bytes();
  private final Bytes strings = new Bytes();
  private final Map<String, Integer> stringOffsets = new LinkedHashMap<>();
  private final Deque<String> open = new ArrayDeque<>();

  /** Opens a node, {@code name@unit-address}; the root's name is empty. */
  FlattenedDeviceTree begin(String name) {
    open.push(name);
    structure.u32(BEGIN_NODE).text(name).align();
    return this;
  }

  /** Closes the node that was opened last. */
  FlattenedDeviceTree end() {
    open.pop();
    structure.u32(END_NODE);
    return this;
  }

  /** A property whose presence is all it says. */
  FlattenedDeviceTree flag(String name) {
    return property(name, new Bytes());
  }

  /** A property of 32-bit cells. */
  FlattenedDeviceTree cells(String name, int... values) {
    Bytes value = new Bytes();
    for (int cell : values) {
      value.u32(cell);
    }
    return property(name, value);
  }

  /** A property of 64-bit values: two cells each. */
  FlattenedDeviceTree cells64(String name, long... values) {
    Bytes value = new Bytes();
    for (long number : values) {
      value.u64(number);
    }
    return property(name, value);
  }

  /** A property of one or more strings. */
  FlattenedDeviceTree text(String name, String... values) {
    Bytes value = new Bytes();
    for (String string : values) {
      value.text(string);
    }
    return property(name, value);
  }

  /** A property of bytes. */
  FlattenedDeviceTree bytes(String name, byte[] value) {
    return property(name, new Bytes().raw(value));
  }

  private FlattenedDeviceTree property(String name, Bytes value) {
    structure.u32(PROPERTY).u32(value.size()).u32(stringOffset(name)).raw(value).align();
    return this;
  }

  private int stringOffset(String name) {
    Integer known = stringOffsets.get(name);
    if (known != null) {
      return known;
    }
    int offset = strings.size();
    stringOffsets.put(name, offset);
    strings.text(name);
    return offset;
  }

  /**
   * The blob.
   *
   * @throws IllegalStateException if a node is still open
   */
  byte[] toBytes() {
    if (!open.isEmpty()) {
      throw new IllegalStateException("not ended: " + open);
    }
    int structureAt = HEADER_BYTES + RESERVATION_BYTES;
    int structureBytes = structure.size() + Integer.BYTES;
    int stringsAt = structureAt + structureBytes;
    return new Bytes()
        .u32(MAGIC)
        .u32(stringsAt + strings.size())
        .u32(structureAt)
        .u32(stringsAt)
        .u32(HEADER_BYTES)
        .u32(VERSION)
        .u32(LAST_COMPATIBLE_VERSION)
        .u32(/* the CPU that boots */ 0)
        .u32(strings.size())
        .u32(structureBytes)
        .u64(0)
        .u64(0)
        .raw(structure)
        .u32(END)
        .raw(strings)
        .toByteArray();
  }

  /** Big-endian fields, one after the other. */
  private static final class Bytes {
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

    Bytes u32(int value) {
      bytes.write(value >>> 24);
      bytes.write(value >>> 16);
      bytes.write(value >>> 8);
      bytes.write(value);
      return this;
    }

    Bytes u64(long value) {
      return u32((int) (value >>> 32)).u32((int) value);
    }

    /** With the NUL that ends it. */
    Bytes text(String value) {
      bytes.writeBytes(value.getBytes(StandardCharsets.UTF_8));
      bytes.write(0);
      return this;
    }

    Bytes raw(Bytes other) {
      return raw(other.toByteArray());
    }

    Bytes raw(byte[] other) {
      bytes.writeBytes(other);
      return this;
    }

    /** To a multiple of four. */
    void align() {
      while (bytes.size() % Integer.BYTES != 0) {
        bytes.write(0);
      }
    }

    int size() {
      return bytes.size();
    }

    byte[] toByteArray() {
      return bytes.toByteArray();
    }
  }
}
