package dev.vireo.vmm.virtio.balloon;

import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.QueueWorker;

/** Gives the pages that the driver puts into the balloon back to the host. */
final class InflateRequests implements QueueWorker.Handler, PageList.Receiver {
  private final PageList pages;
  private final HostPages host;
  private final EnumCounters<BalloonEvent> counters;

  InflateRequests(GuestMemory memory, HostPages host, EnumCounters<BalloonEvent> counters) {
    this.pages = new PageList(memory, counters);
    this.host = host;
    this.counters = counters;
  }

  @Override
  public int handle(DescriptorChain chain) {
    pages.forEach(chain, this);
    return 0;
  }

  @Override
  public void accept(long address, long bytes) {
    long given = host.giveBack(address, bytes);
    counters.add(BalloonEvent.PAGES_INFLATED, given / GuestMemory.PAGE_BYTES);
  }
}
