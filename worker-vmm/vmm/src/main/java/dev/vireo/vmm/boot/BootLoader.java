package dev.vireo.vmm.boot;

import dev.vireo.catalog.GuestTable;
import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.vmm.boot.EntryPoint.Protocol;
import dev.vireo.vmm.memory.GuestMemory;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Puts kernel, initramfs, command line and firmware tables into a guest's fresh memory. */
public final class BootLoader {
  /** Bytes of the longest command line, the NUL that ends it not counted (COMMAND_LINE_SIZE). */
  public static final int MAX_COMMAND_LINE_BYTES = 2047;

  private static final long PAGE = 4096;
  private static final long MIB = 1 << 20;

  private BootLoader() {}

  /**
   * Loads everything.
   *
   * @param tables firmware tables, each to its own address
   * @param rsdpAddress of ACPI's root pointer among them
   * @throws SpecException if a file is not what it should be, or it does not all fit
   */
  public static CpuEntryState load(
      GuestMemory memory,
      Fd kernel,
      @Nullable Fd initramfs,
      String commandLine,
      List<GuestTable> tables,
      long rsdpAddress) {
    byte[] arguments = commandLine.getBytes(StandardCharsets.UTF_8);
    try (KernelFile file = new KernelFile(kernel)) {
      KernelImage image = KernelImage.of(file);
      checkCommandLine(arguments, Math.min(image.maxCommandLineBytes(), MAX_COMMAND_LINE_BYTES));
      long initramfsBytes = initramfs == null ? 0 : sizeOf(initramfs);
      long initramfsAddress = placeInitramfs(memory, image, initramfsBytes);
      image.load(memory);
      if (initramfs != null && initramfsBytes > 0) {
        loadInitramfs(memory, initramfs, initramfsAddress, initramfsBytes);
      }
      memory.write(BootLayout.COMMAND_LINE, arguments);
      for (GuestTable table : tables) {
        memory.write(table.address(), table.bytes());
      }
      BootData data = new BootData(initramfsAddress, initramfsBytes, rsdpAddress);
      List<MemoryMap.Entry> memoryMap = MemoryMap.of(memory);
      if (image.entry().protocol() == Protocol.PVH) {
        PvhStartInfo.write(memory, data, memoryMap);
      } else {
        BootParameters.write(memory, image.setupHeader(), data, memoryMap);
      }
      CpuEntryState state = new CpuEntryState(image.entry());
      state.writeTables(memory);
      return state;
    }
  }

  private static void checkCommandLine(byte[] arguments, int limit) {
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

  private static long sizeOf(Fd initramfs) {
    if (initramfs.type() != Fd.Type.REGULAR) {
      throw initramfsUnreadable("it is not a regular file");
    }
    return initramfs.size();
  }

  /**
   * As high as it goes below 4 GiB, page-aligned: out of the kernel's way while that decompresses.
   *
   * @return 0 for an empty one
   */
  private static long placeInitramfs(GuestMemory memory, KernelImage image, long bytes) {
    long lowMemoryEnd = memory.regions().getFirst().end();
    long limit = Math.min(lowMemoryEnd, image.maxInitramfsAddress() + 1);
    long address = (limit - bytes) & ~(PAGE - 1);
    long kernelEnd = image.end();
    if (kernelEnd > lowMemoryEnd || (bytes > 0 && address < kernelEnd)) {
      long need = (kernelEnd + bytes + PAGE + MIB - 1) / MIB;
      throw new SpecException(
          ErrorReason.MEMORY_TOO_SMALL,
          "memory_mib",
          "kernel, initramfs and boot data need at least "
              + need
              + " MiB below 3 GiB, the machine has "
              + lowMemoryEnd / MIB);
    }
    return bytes == 0 ? 0 : address;
  }

  private static void loadInitramfs(GuestMemory memory, Fd initramfs, long address, long bytes) {
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
