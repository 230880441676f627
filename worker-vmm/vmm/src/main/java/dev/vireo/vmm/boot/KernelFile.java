package dev.vireo.vmm.boot;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.vmm.memory.GuestMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A kernel's file: little-endian fields at offsets, and whole parts copied into the guest. */
final class KernelFile implements AutoCloseable {
  static final String FIELD = "boot.kernel";

  private static final int HEAD_BYTES = 4096;

  private final Arena arena = Arena.ofConfined();
  private final Fd fd;
  private final long size;
  private final MemorySegment head;

  KernelFile(Fd fd) {
    this.fd = fd;
    try {
      if (fd.type() != Fd.Type.REGULAR) {
        throw invalid("the kernel is not a regular file");
      }
      this.size = fd.size();
      this.head = arena.allocate(HEAD_BYTES, 8);
      fd.readFully(head, 0);
    } catch (RuntimeException e) {
      arena.close();
      throw e instanceof LinuxException ? invalid("cannot read the kernel: " + e.getMessage()) : e;
    }
  }

  static SpecException invalid(String message) {
    return new SpecException(ErrorReason.KERNEL_INVALID, FIELD, message);
  }

  static SpecException wrongArchitecture(String architecture) {
    return new SpecException(
        ErrorReason.KERNEL_WRONG_ARCHITECTURE,
        FIELD,
        "the kernel is built for " + architecture + ", the machine is not");
  }

  long size() {
    return size;
  }

  /** Fields of the first page of the file; zeroes beyond its end. */
  int u8(int offset) {
    return Byte.toUnsignedInt(head.get(JAVA_BYTE, offset));
  }

  int u16(int offset) {
    return Short.toUnsignedInt(head.get(JAVA_SHORT_UNALIGNED, offset));
  }

  long u32(int offset) {
    return Integer.toUnsignedLong(head.get(JAVA_INT_UNALIGNED, offset));
  }

  long u64(int offset) {
    return head.get(JAVA_LONG_UNALIGNED, offset);
  }

  byte[] bytes(int offset, int length) {
    return head.asSlice(offset, length).toArray(JAVA_BYTE);
  }

  /** Reads a part whose extent was checked against {@link #size}. */
  MemorySegment read(long offset, long length) {
    MemorySegment part = arena.allocate(length, 8);
    copyTo(part, offset);
    return part;
  }

  /** Copies a part, whose extent was checked, to its place in the guest. */
  void load(long offset, long length, GuestMemory memory, long address) {
    copyTo(memory.slice(address, length), offset);
  }

  private void copyTo(MemorySegment target, long offset) {
    try {
      if (fd.readFully(target, offset) != target.byteSize()) {
        throw invalid("the kernel's file became shorter while it was read");
      }
    } catch (LinuxException e) {
      throw invalid("cannot read the kernel: " + e.getMessage());
    }
  }

  @Override
  public void close() {
    arena.close();
  }
}
