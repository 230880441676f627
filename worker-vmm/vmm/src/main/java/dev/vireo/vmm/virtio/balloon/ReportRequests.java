package dev.vireo.vmm.virtio.balloon;

import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.QueueWorker;
import java.util.function.IntSupplier;

/**
 * Gives free pages that the driver reports back to the host (VIRTIO 1.2, section 5.5.6.7): each
 * buffer that the device may write is free until the chain is returned.
 */
final class ReportRequests implements QueueWorker.Handler {
  private final HostPages host;
  private final IntSupplier poison;
  private final EnumCounters<BalloonEvent> counters;

  /**
   * @param poison what the driver fills its free pages with; it expects to find that again
   */
  ReportRequests(HostPages host, IntSupplier poison, EnumCounters<BalloonEvent> counters) {
    this.host = host;
    this.poison = poison;
    this.counters = counters;
  }

  @Override
  public int handle(DescriptorChain chain) {
    if (chain.defect() != null) {
      counters.increment(BalloonEvent.ERRORS_DESCRIPTORS);
    } else if (chain.readableBytes() > 0) {
      counters.increment(BalloonEvent.ERRORS_MALFORMED);
    } else if (poison.getAsInt() != 0) {
      // A page that was given back reads as zeroes.
      counters.add(BalloonEvent.BYTES_REPORTED_KEPT, chain.writableBytes());
    } else {
      for (int i = 0; i < chain.count(); i++) {
        long given = host.giveBack(chain.bufferAddress(i), chain.bufferLength(i));
        counters.add(BalloonEvent.BYTES_REPORTED, given);
      }
    }
    return 0;
  }
}
