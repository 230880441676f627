package dev.vireo.vmm.virtio.queue;

import dev.vireo.vmm.trace.TraceRecord;

/**
 * A request of a device in a trace. In {@link TraceRecord#what} are, from the lowest byte on: its
 * type, kind, result, slot, and two bytes of the queue's index.
 *
 * @param slot of the device
 * @param queue its index
 * @param offset on the device, or {@link RequestDescription#NO_OFFSET}
 */
public record TracedRequest(
    int slot, int queue, RequestKind kind, RequestResult result, long offset, long bytes) {
  private static final int TYPE = 2;

  @SuppressWarnings("EnumOrdinal") // Numbers that never leave this process.
  static long pack(int slot, int queue, RequestKind kind, RequestResult result) {
    return TYPE
        | (long) kind.ordinal() << 8
        | (long) result.ordinal() << 16
        | (long) slot << 24
        | (long) queue << 32;
  }

  /** Whether the record is one of these. */
  public static boolean is(TraceRecord record) {
    return (record.what() & 0xff) == TYPE;
  }

  public static TracedRequest of(TraceRecord record) {
    long what = record.what();
    return new TracedRequest(
        (int) (what >>> 24) & 0xff,
        (int) (what >>> 32) & 0xffff,
        RequestKind.of((int) (what >>> 8) & 0xff),
        RequestResult.of((int) (what >>> 16) & 0xff),
        record.where(),
        record.value());
  }
}
