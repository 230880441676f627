package dev.vireo.catalog;

import java.util.List;
import java.util.stream.Collectors;

/**
 * Announces devices on the kernel's command line, for kernels built with {@code
 * CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES} (Linux, drivers/virtio/virtio_mmio.c). They also need an
 * {@link MpTable}, or they have no IOAPIC.
 */
public final class CommandLineAnnouncement {
  private CommandLineAnnouncement() {}

  /**
   * The arguments for {@code slots}, joined by blanks: {@code virtio_mmio.device=4K@0xd0000000:5}.
   * Empty for none.
   */
  public static String of(List<DeviceSlot> slots) {
    return slots.stream().map(CommandLineAnnouncement::argument).collect(Collectors.joining(" "));
  }

  private static String argument(DeviceSlot slot) {
    return "virtio_mmio.device=%dK@0x%x:%d".formatted(slot.size() / 1024, slot.base(), slot.gsi());
  }
}
