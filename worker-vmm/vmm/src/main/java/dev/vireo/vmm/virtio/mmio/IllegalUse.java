package dev.vireo.vmm.virtio.mmio;

/**
 * What a driver did that VIRTIO 1.2 does not allow. Each is counted; but for the last three it
 * changes nothing.
 */
enum IllegalUse {
  /**
   * A control register accessed other than by 32 aligned bits (4.2.2.2), or the configuration by 8
   * bytes.
   */
  ACCESS_WIDTH,
  /** There is no such register, or not in this direction. */
  NO_SUCH_REGISTER,
  /** A status that leaves a bit out or takes one back (2.1.1, 3.1.1). */
  STATUS_STEP,
  /** Features written before DRIVER or after FEATURES_OK. */
  FEATURES_FROZEN,
  /**
   * FEATURES_OK without VERSION_1, with features that were not offered, or without those that they
   * require (2.2.1, 6.1).
   */
  FEATURES_REFUSED,
  /** A queue register written while QueueSel names no queue. */
  QUEUE_SELECT,
  /** QueueNum that is 0, above QueueNumMax, or not a power of two. */
  QUEUE_SIZE,
  /** A queue set up before FEATURES_OK, after DRIVER_OK, or while it is ready. */
  QUEUE_FROZEN,
  /** QueueReady with a value other than 0 and 1, or 1 for a queue without a size. */
  QUEUE_READY,
  /** QueueReset without RING_RESET, or with a value other than 1 (4.2.2). */
  QUEUE_RESET,
  /** A notification before DRIVER_OK (3.1.1), or of a queue that does not exist. */
  NOTIFICATION,
  /** A write to configuration that the device does not let change. */
  CONFIG_READ_ONLY,
  /** Needs a reset: the device could not be activated with the queues as they were set up. */
  ACTIVATION,
  /** Needs a reset: the ring or a chain was illegal. */
  RING,
  /** Needs a reset, and no fault of the driver's: the device failed. */
  DEVICE_FAILURE
}
