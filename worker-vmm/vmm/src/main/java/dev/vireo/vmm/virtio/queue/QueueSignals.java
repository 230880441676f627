package dev.vireo.vmm.virtio.queue;

/** How a queue reaches the driver that fills it. Any thread may call. */
public interface QueueSignals {
  /** Used buffers are waiting and the driver wants to know. */
  void usedBuffers();

  /**
   * The device cannot go on until it is reset: sets DEVICE_NEEDS_RESET and tells the driver (VIRTIO
   * 1.2, section 2.1.2).
   *
   * @param cause what the driver, or the device, did wrong
   */
  void needsReset(Throwable cause);
}
