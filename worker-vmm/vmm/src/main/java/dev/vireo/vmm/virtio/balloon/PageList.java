package dev.vireo.vmm.virtio.balloon;

import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import java.util.Arrays;

/**
 * The pages that a request names (VIRTIO 1.2, section 5.5.6): an array of 32-bit numbers of pages
 * of 4 KiB, in whatever order the driver came by them. They are read a part at a time, and pages
 * side by side are told of together. Made once for an activation; allocates nothing after that.
 */
final class PageList {
  /**
   * Pages of one request that are looked at, 64 MiB. Linux names 256, Windows 1,024; a driver that
   * names more still has those beyond, and a reset never waits for them.
   */
  static final int MAX_PAGES = 16_384;

  private static final int PAGE_SHIFT = 12;

  /** Pages that are sorted at once. */
  private static final int PART = 1_024;

  /** Who gets the pages: ranges of guest memory, each wholly in one region of it. */
  interface Receiver {
    void accept(long address, long bytes);
  }

  private final GuestMemory memory;
  private final EnumCounters<BalloonEvent> counters;
  private final long[] part = new long[PART];

  PageList(GuestMemory memory, EnumCounters<BalloonEvent> counters) {
    this.memory = memory;
    this.counters = counters;
  }

  /** Hands the pages of {@code request} to {@code receiver}; counts what is wrong with it. */
  void forEach(DescriptorChain request, Receiver receiver) {
    if (request.defect() != null) {
      counters.increment(BalloonEvent.ERRORS_DESCRIPTORS);
      return;
    }
    long bytes = request.readableBytes();
    if (request.writableBytes() > 0 || bytes % Integer.BYTES != 0) {
      counters.increment(BalloonEvent.ERRORS_MALFORMED);
      return;
    }
    long pages = bytes / Integer.BYTES;
    if (pages > MAX_PAGES) {
      counters.increment(BalloonEvent.ERRORS_OVERSIZED);
      pages = MAX_PAGES;
    }
    for (long done = 0; done < pages; done += PART) {
      int count = (int) Math.min(pages - done, PART);
      for (int i = 0; i < count; i++) {
        part[i] = Integer.toUnsignedLong(request.getInt((done + i) * Integer.BYTES));
      }
      Arrays.sort(part, 0, count);
      tell(count, receiver);
    }
  }

  /** Joins neighbours, unless they are in different regions. */
  private void tell(int count, Receiver receiver) {
    long start = 0;
    long bytes = 0;
    for (int i = 0; i < count; i++) {
      long address = part[i] << PAGE_SHIFT;
      if (i > 0 && part[i] == part[i - 1]) {
        counters.increment(BalloonEvent.PAGES_REPEATED);
      } else if (!memory.contains(address, GuestMemory.PAGE_BYTES)) {
        counters.increment(BalloonEvent.ERRORS_OUTSIDE_MEMORY);
      } else if (bytes > 0
          && address == start + bytes
          && memory.contains(start, bytes + GuestMemory.PAGE_BYTES)) {
        bytes += GuestMemory.PAGE_BYTES;
      } else {
        if (bytes > 0) {
          receiver.accept(start, bytes);
        }
        start = address;
        bytes = GuestMemory.PAGE_BYTES;
      }
    }
    if (bytes > 0) {
      receiver.accept(start, bytes);
    }
  }
}
