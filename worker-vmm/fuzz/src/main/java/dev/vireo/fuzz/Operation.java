package dev.vireo.fuzz;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/**
 * One step of a hostile guest: eight bytes of the fuzzer's input, whatever they are.
 *
 * @param kind the first byte
 * @param a the second, unsigned, and so on
 * @param value the last four, little-endian
 */
record Operation(Kind kind, int a, int b, int c, int value) {
  static final int BYTES = 8;

  /** Instead of a queue's index: that which was last used. */
  static final int CURRENT_QUEUE = 255;

  /** What a guest can do. Not to be reordered: inputs that were kept would mean something else. */
  enum Kind {
    /** Register a (an index of the known ones below 128, else a and b are its offset), width c. */
    READ_REGISTER,
    /** As above, with a value. */
    WRITE_REGISTER,
    /**
     * Reset, to FEATURES_OK with those of the offered features that are in value and a, whose
     * highest bit is RING_RESET.
     */
    NEGOTIATE,
    /** Queue a with 2^b entries; where value is not 0, ring c is at that place. */
    SET_UP_QUEUE,
    DRIVER_OK,
    /** All of it: features as NEGOTIATE, queues of 2^b entries. */
    START,
    /** What follows concerns queue a. */
    SELECT_QUEUE,
    /** Entry a of a table: flags and table are in b, c is the next; value is place and length. */
    DESCRIPTOR,
    /** Four bytes, value, at a place: a is the area, b and c the offset. */
    MEMORY,
    /** Puts head a into the available ring and moves its index on. */
    OFFER,
    /** The available ring's index, flags or event index. */
    AVAILABLE,
    /** Of queue a, or of the current one. */
    NOTIFY,
    /** A legal request with head a, offered; through an indirect table if b is odd. */
    REQUEST,
    RESET,
    STOP_QUEUE,
    /** The host's call after a others will fail. */
    HOST_FAULT,
    /** Reads InterruptStatus and acknowledges it. */
    ACKNOWLEDGE,
    /**
     * Writes to the rings, a times, wherever value leads to; beside the device if that is wanted.
     */
    SCRIBBLE,
    /** Something happens on the host's side of the device. */
    HOST_EVENT,
    /** Resets queue a alone; if b is odd, it is set up again with 2^(b / 2) entries or more. */
    RESET_QUEUE,
    /** As many legal requests as a, and one, from head 0 on, offered; all through one table. */
    REQUESTS,
    /** So many blocks of memory as b and one, from block a on, come, or go if c is even. */
    PLUG;

    private static final List<Kind> ALL = List.of(values());
  }

  /** That of the program's eight bytes from {@code offset} on. */
  static Operation at(byte[] program, int offset) {
    ByteBuffer bytes = ByteBuffer.wrap(program, offset, BYTES).order(ByteOrder.LITTLE_ENDIAN);
    return new Operation(
        Kind.ALL.get(unsigned(bytes) % Kind.ALL.size()),
        unsigned(bytes),
        unsigned(bytes),
        unsigned(bytes),
        bytes.getInt());
  }

  byte[] bytes() {
    return ByteBuffer.allocate(BYTES)
        .order(ByteOrder.LITTLE_ENDIAN)
        .put((byte) Kind.ALL.indexOf(kind))
        .put((byte) a)
        .put((byte) b)
        .put((byte) c)
        .putInt(value)
        .array();
  }

  private static int unsigned(ByteBuffer bytes) {
    return Byte.toUnsignedInt(bytes.get());
  }
}
