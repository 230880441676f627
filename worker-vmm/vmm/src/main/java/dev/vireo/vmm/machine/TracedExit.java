package dev.vireo.vmm.machine;

import dev.vireo.vmm.kvm.Vcpu;
import dev.vireo.vmm.machine.ExitCounters.Cause;
import dev.vireo.vmm.trace.TraceRecord;

/**
 * An exit to user space in a trace. In {@link TraceRecord#what} are, from the lowest byte on: its
 * type, cause, vCPU, whether the guest wrote, and four bytes of the access's width.
 *
 * @param cause as exits are counted
 * @param width bytes that the guest accessed; 0 if the exit was no access
 * @param address guest physical, or a port
 * @param value the first eight bytes, little-endian
 */
public record TracedExit(
    int vcpu, String cause, int width, boolean write, long address, long value) {
  private static final int TYPE = 1;

  @SuppressWarnings("EnumOrdinal") // Numbers that never leave this process.
  static long pack(Vcpu vcpu, int exit, Cause cause) {
    return TYPE
        | (long) cause.ordinal() << 8
        | (long) vcpu.id() << 16
        | (vcpu.accessIsWrite(exit) ? 1L << 24 : 0)
        | (long) vcpu.accessWidth(exit) << 32;
  }

  /** Whether the record is one of these. */
  public static boolean is(TraceRecord record) {
    return (record.what() & 0xff) == TYPE;
  }

  public static TracedExit of(TraceRecord record) {
    long what = record.what();
    return new TracedExit(
        (int) (what >>> 16) & 0xff,
        Cause.of((int) (what >>> 8) & 0xff).label(),
        (int) (what >>> 32),
        (what >>> 24 & 1) != 0,
        record.where(),
        record.value());
  }

  /** Whether it was an access to a register of a virtio device. */
  public boolean isDevice() {
    return cause.equals(Cause.MMIO_DEVICE.label());
  }
}
