package dev.vireo.vmm.boot;

import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.vmm.memory.GuestMemory;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;

/** What is loaded beside a kernel, alike on all architectures: initramfs and command line. */
final class BootFiles {
  /**
   * Bytes of the longest command line, the NUL that ends it not counted (COMMAND_LINE_SIZE, the
   * same on x86 and arm64).
   */
  static final int MAX_COMMAND_LINE_BYTES = 2047;

  private BootFiles() {}

  /**
   * Checks a command line.
   *
   * @throws SpecException if it has more than {@code limit} bytes, or a NUL among them
   */
  static void checkCommandLine(String commandLine, int limit) {
    byte[] arguments = commandLine.getBytes(StandardCharsets.UTF_8);
    if (arguments.length > limit) {
      throw new SpecException(
          ErrorReason.COMMAND_LINE_TOO_LONG,
          "boot.command_line",
          "the command line has "
              + arguments.length
              + " bytes with all that is added, the kernel takes "
              + limit);
    }
    for (byte octet : arguments) {
      if (octet == 0) {
        throw new SpecException(
            ErrorReason.FIELD_INVALID, "boot.command_line", "the command line has a NUL in it");
      }
    }
  }

  /** Bytes of an initramfs. */
  static long sizeOf(Fd initramfs) {
    if (initramfs.type() != Fd.Type.REGULAR) {
      throw initramfsUnreadable("it is not a regular file");
    }
    return initramfs.size();
  }

  /** Copies all of an initramfs, whose size was asked before, to its place. */
  static void loadInitramfs(GuestMemory memory, Fd initramfs, long address, long bytes) {
    try {
      if (initramfs.readFully(memory.slice(address, bytes), 0) != bytes) {
        throw initramfsUnreadable("it became shorter while it was read");
      }
    } catch (LinuxException e) {
      throw initramfsUnreadable(e.getMessage());
    }
  }

  private static SpecException initramfsUnreadable(@Nullable String why) {
    return new SpecException(
        ErrorReason.INITRAMFS_NOT_FOUND, "boot.initramfs", "cannot read the initramfs: " + why);
  }
}
