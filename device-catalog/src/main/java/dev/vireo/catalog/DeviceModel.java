package dev.vireo.catalog;

/** What a guest sees: a kind of virtio device, whoever serves it. */
public enum DeviceModel {
  NET("net", 1),
  BLK("blk", 2),
  CONSOLE("console", 3),
  RNG("rng", 4),
  BALLOON("balloon", 5),
  SCSI("scsi", 8),
  INPUT("input", 18),
  VSOCK("vsock", 19),
  MEM("mem", 24),
  FS("fs", 26);

  private final String label;
  private final int virtioId;

  DeviceModel(String label, int virtioId) {
    this.label = label;
    this.virtioId = virtioId;
  }

  /** The name in specs, metrics and back-end names. */
  public String label() {
    return label;
  }

  /** The device ID the guest reads (VIRTIO 1.2, section 5). */
  public int virtioId() {
    return virtioId;
  }
}
