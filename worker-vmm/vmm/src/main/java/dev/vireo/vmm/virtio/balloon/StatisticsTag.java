package dev.vireo.vmm.virtio.balloon;

/**
 * The statistics of a guest's memory by their tags: VIRTIO_BALLOON_S_ of VIRTIO 1.2, section
 * 5.5.6.4. A tag is its constant's ordinal.
 */
enum StatisticsTag {
  SWAP_IN("guest_swapped_in_bytes"),
  SWAP_OUT("guest_swapped_out_bytes"),
  MAJFLT("guest_major_faults"),
  MINFLT("guest_minor_faults"),
  MEMFREE("guest_free_bytes"),
  MEMTOT("guest_total_bytes"),
  AVAIL("guest_available_bytes"),
  CACHES("guest_disk_caches_bytes"),
  HTLB_PGALLOC("guest_huge_page_allocations"),
  HTLB_PGFAIL("guest_huge_page_failures");

  private static final StatisticsTag[] ALL = values();

  static final int COUNT = ALL.length;

  private final String gauge;

  StatisticsTag(String gauge) {
    this.gauge = gauge;
  }

  /** Its name in an inspection, which tells the unit. */
  String gauge() {
    return gauge;
  }

  /**
   * @param tag below {@link #COUNT}
   */
  static StatisticsTag of(int tag) {
    return ALL[tag];
  }
}
