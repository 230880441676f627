package dev.vireo.vmm.boot;

import dev.vireo.catalog.GuestTable;
import dev.vireo.linux.Fd;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.vmm.boot.EntryPoint.Protocol;
import dev.vireo.vmm.memory.GuestMemory;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Puts kernel, initramfs, command line and firmware tables into an x86-64 guest's fresh memory. */
public final class X86BootLoader {
  private static final long PAGE = 4096;
  private static final long MIB = 1 << 20;

  private X86BootLoader() {}

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
    try (KernelFile file = new KernelFile(kernel)) {
      KernelImage image = KernelImage.of(file);
      BootFiles.checkCommandLine(
          commandLine, Math.min(image.maxCommandLineBytes(), BootFiles.MAX_COMMAND_LINE_BYTES));
      long initramfsBytes = initramfs == null ? 0 : BootFiles.sizeOf(initramfs);
      long initramfsAddress = placeInitramfs(memory, image, initramfsBytes);
      image.load(memory);
      if (initramfs != null && initramfsBytes > 0) {
        BootFiles.loadInitramfs(memory, initramfs, initramfsAddress, initramfsBytes);
      }
      memory.write(BootLayout.COMMAND_LINE, commandLine.getBytes(StandardCharsets.UTF_8));
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
}
