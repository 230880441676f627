package dev.vireo.vmm.virtio;

/** Feature bits that belong to no device type (VIRTIO 1.2, section 6). */
public final class Features {
  /** Chains may continue in a table of their own. */
  public static final long RING_INDIRECT_DESC = 1L << 28;

  /** Each side says at which index it wants the next signal. */
  public static final long RING_EVENT_IDX = 1L << 29;

  /** Not a legacy device. Always offered, and a driver has to accept it. */
  public static final long VERSION_1 = 1L << 32;

  private Features() {}
}
