package dev.vireo.vmm.virtio;

import dev.vireo.vmm.virtio.queue.QueueSignals;

/** How a device reaches its driver; the transport implements it. Any thread may call. */
public interface DriverSignals extends QueueSignals {
  /**
   * Changes the device's configuration space: {@code change} runs while no vCPU reads it, then the
   * generation moves on and the driver is told. Not from within a queue's service: a reset that
   * waits for it would never end.
   */
  void changeConfig(Runnable change);

  /**
   * Shows the driver what a request of its own has changed in the configuration space: under
   * another generation, and with no interrupt. From within a queue's service.
   */
  void showConfig();
}
