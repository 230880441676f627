package dev.vireo.vmm.virtio.mmio;

import java.util.List;
import java.util.Map;

/**
 * A device at one moment.
 *
 * @param status the status register
 * @param driverFeatures what the driver accepted
 * @param queues in order
 * @param counters the device's own, with what the driver did wrong as {@code "illegal."} and a name
 * @param exits accesses to registers by class since the microVM started
 * @param exitsSinceDriverOk accesses to registers since the driver was last ready
 */
public record TransportInspection(
    int status,
    long driverFeatures,
    List<Queue> queues,
    Map<String, Long> counters,
    Map<RegisterClass, Long> exits,
    long exitsSinceDriverOk) {
  /**
   * A queue at that moment; see {@link dev.vireo.vmm.virtio.queue.QueueCounters} for the counts.
   */
  public record Queue(
      int index,
      int size,
      boolean ready,
      long notifications,
      long interrupts,
      long interruptsSuppressed,
      long requests) {}
}
