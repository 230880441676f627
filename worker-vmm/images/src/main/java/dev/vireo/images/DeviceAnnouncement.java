package dev.vireo.images;

/** A way of telling a guest where its virtio-mmio devices are, which its kernel understands. */
public enum DeviceAnnouncement {
  /** {@code virtio_mmio.device=} on the kernel command line. */
  CMDLINE("cmdline"),
  /** {@code LNRO0005} devices in an ACPI DSDT. */
  ACPI("acpi"),
  /** Device tree nodes. */
  FDT("fdt");

  private final String label;

  DeviceAnnouncement(String label) {
    this.label = label;
  }

  /** How {@code image.properties} writes it. */
  public String label() {
    return label;
  }
}
