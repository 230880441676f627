package dev.vireo.worker.boot;

import dev.vireo.proto.v1.Architecture;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What a kernel file is, by its first bytes. Whether it is whole and sound is for the VMM's loader
 * to find out, which reads all of it; but a node that cannot boot a bzImage never gets so far.
 *
 * @param architecture null if it is one that no node has
 * @param leastBytes that the file must have by its own header; 0 if that does not tell
 */
public record KernelFormat(Kind kind, @Nullable Architecture architecture, long leastBytes) {
  /** How much of the file {@link #recognize} wants to see. */
  public static final int HEADER_BYTES = 1024;

  /** The containers of kernels. */
  public enum Kind {
    /** Linux's compressed image for x86 (Documentation/arch/x86/boot.rst). */
    BZ_IMAGE,
    /** An executable: vmlinux, or a bare-metal guest. */
    ELF,
    /** Linux's image for arm64 (Documentation/arch/arm64/booting.rst). */
    ARM64_IMAGE
  }

  private static final int ELF_MAGIC = 0x464c457f;
  private static final int ELF_CLASS = 4;
  private static final int ELF_CLASS_64 = 2;
  private static final int ELF_MACHINE = 18;
  private static final int EM_X86_64 = 62;
  private static final int EM_AARCH64 = 183;

  /** In sectors without the first; 0 means 4. */
  private static final int SETUP_SECTORS = 0x1f1;

  /** Of what follows the setup code, in units of 16 bytes. */
  private static final int SETUP_SYSTEM_SIZE = 0x1f4;

  private static final int SETUP_BOOT_FLAG = 0x1fe;
  private static final int SETUP_MAGIC = 0x202;
  private static final int HDRS = 0x53726448;
  private static final int SETUP_XLOADFLAGS = 0x236;
  private static final int XLF_KERNEL_64 = 1;

  private static final int ARM64_MAGIC_OFFSET = 56;
  private static final int ARM64_MAGIC = 0x644d5241;

  /** Recognizes a kernel by its header; empty if it is none, or too short to be one. */
  public static Optional<KernelFormat> recognize(ByteBuffer header) {
    ByteBuffer bytes = header.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    int length = bytes.remaining();
    if (length >= ELF_MACHINE + 2 && bytes.getInt(0) == ELF_MAGIC) {
      return Optional.of(new KernelFormat(Kind.ELF, elfArchitecture(bytes), 0));
    }
    if (length >= ARM64_MAGIC_OFFSET + 4 && bytes.getInt(ARM64_MAGIC_OFFSET) == ARM64_MAGIC) {
      return Optional.of(new KernelFormat(Kind.ARM64_IMAGE, Architecture.ARM64, 0));
    }
    if (length >= SETUP_XLOADFLAGS + 2
        && bytes.getShort(SETUP_BOOT_FLAG) == (short) 0xaa55
        && bytes.getInt(SETUP_MAGIC) == HDRS) {
      boolean is64Bit = (bytes.getShort(SETUP_XLOADFLAGS) & XLF_KERNEL_64) != 0;
      return Optional.of(
          new KernelFormat(
              Kind.BZ_IMAGE, is64Bit ? Architecture.X86_64 : null, bzImageBytes(bytes)));
    }
    return Optional.empty();
  }

  private static long bzImageBytes(ByteBuffer bytes) {
    int sectors = Byte.toUnsignedInt(bytes.get(SETUP_SECTORS));
    long setupBytes = ((sectors == 0 ? 4 : sectors) + 1L) * 512;
    return setupBytes + Integer.toUnsignedLong(bytes.getInt(SETUP_SYSTEM_SIZE)) * 16;
  }

  private static @Nullable Architecture elfArchitecture(ByteBuffer bytes) {
    if (bytes.get(ELF_CLASS) != ELF_CLASS_64) {
      return null;
    }
    return switch (bytes.getShort(ELF_MACHINE)) {
      case EM_X86_64 -> Architecture.X86_64;
      case EM_AARCH64 -> Architecture.ARM64;
      default -> null;
    };
  }
}
