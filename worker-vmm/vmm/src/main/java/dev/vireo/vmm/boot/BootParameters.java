package dev.vireo.vmm.boot;

import dev.vireo.vmm.memory.GuestMemory;
import java.util.List;

/**
 * The "zero page" through which Linux is told where everything is ({@code struct boot_params},
 * Documentation/arch/x86/zero-page.rst).
 */
final class BootParameters {
  private static final int ACPI_RSDP_ADDR = 0x070;
  private static final int E820_ENTRIES = 0x1e8;
  private static final int TYPE_OF_LOADER = 0x210;
  private static final int RAMDISK_IMAGE = 0x218;
  private static final int RAMDISK_SIZE = 0x21c;
  private static final int CMD_LINE_PTR = 0x228;
  private static final int E820_TABLE = 0x2d0;
  private static final int E820_ENTRY_BYTES = 20;
  private static final byte LOADER_WITHOUT_AN_ID = (byte) 0xff;

  private BootParameters() {}

  static void write(
      GuestMemory memory, byte[] setupHeader, BootData data, List<MemoryMap.Entry> memoryMap) {
    long base = BootLayout.BOOT_PARAMETERS;
    memory.write(base + BzImage.SETUP_HEADER, setupHeader);
    memory.putByte(base + TYPE_OF_LOADER, LOADER_WITHOUT_AN_ID);
    memory.putInt(base + RAMDISK_IMAGE, (int) data.initramfsAddress());
    memory.putInt(base + RAMDISK_SIZE, (int) data.initramfsBytes());
    memory.putInt(base + CMD_LINE_PTR, (int) BootLayout.COMMAND_LINE);
    memory.putLong(base + ACPI_RSDP_ADDR, data.rsdpAddress());
    memory.putByte(base + E820_ENTRIES, (byte) memoryMap.size());
    long at = base + E820_TABLE;
    for (MemoryMap.Entry entry : memoryMap) {
      memory.putLong(at, entry.address());
      memory.putLong(at + 8, entry.length());
      memory.putInt(at + 16, entry.type());
      at += E820_ENTRY_BYTES;
    }
  }
}
