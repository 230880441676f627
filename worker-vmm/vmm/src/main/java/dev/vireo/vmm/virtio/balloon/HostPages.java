package dev.vireo.vmm.virtio.balloon;

import dev.vireo.linux.LinuxException;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.virtio.EnumCounters;

/** Guest memory on its way back to the host, counted. */
final class HostPages {
  private final GuestMemory memory;
  private final EnumCounters<BalloonEvent> counters;

  HostPages(GuestMemory memory, EnumCounters<BalloonEvent> counters) {
    this.memory = memory;
    this.counters = counters;
  }

  /**
   * Gives the whole pages of a range back.
   *
   * @param address with {@code bytes} in one region of guest memory
   * @return the bytes that the host has now; 0 if its kernel refused, which costs it memory and the
   *     guest nothing
   */
  long giveBack(long address, long bytes) {
    try {
      long given = memory.discard(address, bytes);
      if (given > 0) {
        counters.increment(BalloonEvent.DISCARDS);
      }
      return given;
    } catch (LinuxException e) {
      counters.increment(BalloonEvent.ERRORS_HOST);
      return 0;
    }
  }
}
