package dev.vireo.vmm.virtio.balloon;

/** Feature bits of a balloon (VIRTIO 1.2, section 5.5.3). */
final class BalloonFeature {
  /** There is a queue for the guest's memory statistics. */
  static final long STATS_VQ = 1L << 1;

  /** The driver may take pages out by itself before its guest kills processes for memory. */
  static final long DEFLATE_ON_OOM = 1L << 2;

  /** The driver tells what its free pages are filled with. */
  static final long PAGE_POISON = 1L << 4;

  /** There is a queue on which the driver reports free pages. */
  static final long PAGE_REPORTING = 1L << 5;

  private BalloonFeature() {}
}
