package dev.vireo.vmm.virtio.balloon;

/** What a balloon counts. Pages are of 4 KiB. */
enum BalloonEvent {
  /** Pages that the driver put into the balloon. */
  PAGES_INFLATED,
  /** Pages that it took out again. */
  PAGES_DEFLATED,
  /** Pages named twice in one part of a request. */
  PAGES_REPEATED,
  /** Bytes of free pages that the driver reported, and that were given back to the host. */
  BYTES_REPORTED,
  /** Bytes of free pages that must keep what they were filled with, and so were not. */
  BYTES_REPORTED_KEPT,
  /** Calls to the host's kernel, for inflated and for reported pages. */
  DISCARDS,
  /** Buffers of statistics. */
  STATISTICS,
  /** A statistic that VIRTIO 1.2 does not know. */
  STATISTICS_UNKNOWN,
  /** A buffer was empty, outside memory, or out of order. */
  ERRORS_DESCRIPTORS,
  /** A buffer of the wrong direction or of a length that makes no sense. */
  ERRORS_MALFORMED,
  /** A request of more than is served at once: the rest was left alone. */
  ERRORS_OVERSIZED,
  /** A page that is not in the guest's memory. */
  ERRORS_OUTSIDE_MEMORY,
  /** A second buffer of statistics while the device had one. */
  ERRORS_STATISTICS_BUFFERS,
  /** The host's kernel would not take memory back. */
  ERRORS_HOST
}
