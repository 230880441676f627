package dev.vireo.vmm.virtio;

/** How a device reaches its driver; the transport implements it. Any thread may call. */
public interface DriverSignals {
  /** Used buffers are waiting and the driver wants to know. */
  void usedBuffers();

  /**
   * The device cannot go on until it is reset: sets DEVICE_NEEDS_RESET and tells the driver (VIRTIO
   * 1.2, section 2.1.2).
   *
   * @param cause what the driver, or the device, did wrong
   */
  void needsReset(Throwable cause);

  /**
   * Changes the device's configuration space: {@code change} runs while no vCPU reads it, then the
   * generation moves on and the driver is told. Not from within a queue's service: a reset that
   * waits for it would never end.
   */
  void changeConfig(Runnable change);
}
