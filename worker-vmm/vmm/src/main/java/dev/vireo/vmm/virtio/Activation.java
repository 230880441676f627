package dev.vireo.vmm.virtio;

import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.util.List;
import java.util.Optional;

/**
 * What a device gets to work with once its driver is ready (DRIVER_OK).
 *
 * @param features what device and driver agreed on
 * @param memory where the queues' buffers are
 * @param queues by index; empty for one that the driver did not make ready
 * @param signals to the driver
 */
public record Activation(
    long features, GuestMemory memory, List<Optional<Virtqueue>> queues, DriverSignals signals) {
  /** Starts each queue that the driver made ready, as if it had been reset alone. */
  public void startQueues(VirtioDevice device) {
    for (int i = 0; i < queues.size(); i++) {
      Virtqueue queue = queues.get(i).orElse(null);
      if (queue != null) {
        device.startQueue(i, queue, this);
      }
    }
  }

  /** Whether all bits of {@code feature} were agreed on. */
  public boolean has(long feature) {
    return (features & feature) == feature;
  }
}
