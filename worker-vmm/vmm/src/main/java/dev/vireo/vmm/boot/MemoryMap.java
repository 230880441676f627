package dev.vireo.vmm.boot;

import dev.vireo.vmm.memory.GuestMemory;
import java.util.ArrayList;
import java.util.List;

/**
 * The memory map that the guest is told (E820, ACPI 6.3 section 15): what is RAM, and what of it
 * belongs to firmware tables.
 */
final class MemoryMap {
  static final int USABLE = 1;
  static final int RESERVED = 2;

  /** One range; {@code type} is {@link #USABLE} or {@link #RESERVED}. */
  record Entry(long address, long length, int type) {}

  private MemoryMap() {}

  static List<Entry> of(GuestMemory memory) {
    List<Entry> entries = new ArrayList<>();
    for (GuestMemory.Region region : memory.regions()) {
      if (region.base() == 0) {
        entries.add(new Entry(0, BootLayout.LOW_MEMORY_END, USABLE));
        entries.add(
            new Entry(
                BootLayout.LOW_MEMORY_END,
                BootLayout.HIGH_MEMORY - BootLayout.LOW_MEMORY_END,
                RESERVED));
        entries.add(
            new Entry(BootLayout.HIGH_MEMORY, region.end() - BootLayout.HIGH_MEMORY, USABLE));
      } else {
        entries.add(new Entry(region.base(), region.segment().byteSize(), USABLE));
      }
    }
    return entries;
  }
}
