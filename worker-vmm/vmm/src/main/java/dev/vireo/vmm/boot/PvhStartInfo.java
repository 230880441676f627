package dev.vireo.vmm.boot;

import dev.vireo.vmm.memory.GuestMemory;
import java.util.List;

/** What a PVH kernel is told ({@code struct hvm_start_info}, version 1). */
final class PvhStartInfo {
  private static final int MAGIC = 0x336ec578;
  private static final int VERSION = 1;
  private static final int MEMORY_MAP_ENTRY_BYTES = 24;

  private PvhStartInfo() {}

  static void write(GuestMemory memory, BootData data, List<MemoryMap.Entry> memoryMap) {
    boolean hasInitramfs = data.initramfsAddress() != 0;
    long base = BootLayout.START_INFO;
    memory.putInt(base, MAGIC);
    memory.putInt(base + 4, VERSION);
    memory.putInt(base + 12, hasInitramfs ? 1 : 0);
    memory.putLong(base + 16, hasInitramfs ? BootLayout.START_INFO_MODULES : 0);
    memory.putLong(base + 24, BootLayout.COMMAND_LINE);
    memory.putLong(base + 32, data.rsdpAddress());
    memory.putLong(base + 40, BootLayout.START_INFO_MEMORY_MAP);
    memory.putInt(base + 48, memoryMap.size());
    if (hasInitramfs) {
      memory.putLong(BootLayout.START_INFO_MODULES, data.initramfsAddress());
      memory.putLong(BootLayout.START_INFO_MODULES + 8, data.initramfsBytes());
    }
    long at = BootLayout.START_INFO_MEMORY_MAP;
    for (MemoryMap.Entry entry : memoryMap) {
      memory.putLong(at, entry.address());
      memory.putLong(at + 8, entry.length());
      memory.putInt(at + 16, entry.type());
      at += MEMORY_MAP_ENTRY_BYTES;
    }
  }
}
