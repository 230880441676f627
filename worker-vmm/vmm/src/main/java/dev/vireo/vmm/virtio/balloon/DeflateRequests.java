package dev.vireo.vmm.virtio.balloon;

import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.QueueWorker;

/**
 * Hears of the pages that the driver takes out of the balloon. There is nothing to do for them: the
 * host's kernel gives a page, zeroed, when it is touched. So a driver may use them before it tells
 * (MUST_TELL_HOST is not offered), and one that lies gets what any guest gets.
 */
final class DeflateRequests implements QueueWorker.Handler, PageList.Receiver {
  private final PageList pages;
  private final EnumCounters<BalloonEvent> counters;

  DeflateRequests(GuestMemory memory, EnumCounters<BalloonEvent> counters) {
    this.pages = new PageList(memory, counters);
    this.counters = counters;
  }

  @Override
  public int handle(DescriptorChain chain) {
    pages.forEach(chain, this);
    return 0;
  }

  @Override
  public void accept(long address, long bytes) {
    counters.add(BalloonEvent.PAGES_DEFLATED, bytes / GuestMemory.PAGE_BYTES);
  }
}
