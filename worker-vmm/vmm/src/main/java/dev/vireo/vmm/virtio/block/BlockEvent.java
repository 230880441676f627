package dev.vireo.vmm.virtio.block;

/** What a block device counts. An error is counted besides the request that had it. */
enum BlockEvent {
  REQUESTS_READ,
  REQUESTS_WRITE,
  REQUESTS_FLUSH,
  REQUESTS_GET_ID,
  REQUESTS_DISCARD,
  REQUESTS_WRITE_ZEROES,
  /** Answered with S_UNSUPP: unknown, not negotiated, or not to be done by the host's file. */
  REQUESTS_UNSUPPORTED,
  BYTES_READ,
  BYTES_WRITTEN,
  BYTES_DISCARDED,
  BYTES_ZEROED,
  /** Times that a request had to wait for the rate limit. */
  RATE_LIMITED,
  /** A buffer was empty, outside memory, or out of order. */
  ERRORS_DESCRIPTORS,
  /** No room for header or status, or data of an illegal size. */
  ERRORS_MALFORMED,
  /** A sector beyond the capacity. */
  ERRORS_OUT_OF_RANGE,
  /** A request that changes a read-only disk. */
  ERRORS_READ_ONLY,
  /** The host's file system is full. */
  ERRORS_NO_SPACE,
  /** The host's file or device failed, or ended too soon. */
  ERRORS_INPUT_OUTPUT
}
