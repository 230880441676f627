package dev.vireo.vmm.virtio.memory;

/** Feature bits of a memory device (VIRTIO 1.2, section 5.15.3). */
final class MemoryFeature {
  /** The driver does not touch memory that is not plugged, not even to read it. */
  static final long UNPLUGGED_INACCESSIBLE = 1L << 1;

  private MemoryFeature() {}
}
