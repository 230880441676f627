package dev.vireo.catalog;

import java.util.List;

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
    StringBuilder arguments = new StringBuilder();
    for (DeviceSlot slot : slots) {
      arguments.append(arguments.isEmpty() ? "" : " ").append(argument(slot));
    }
    return arguments.toString();
  }

  private static String argument(DeviceSlot slot) {
    String base = Long.toHexString(slot.base());
    return "virtio_mmio.device=" + slot.size() / 1024 + "K@0x" + base + ":" + slot.gsi();
  }
}
