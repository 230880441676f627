package dev.vireo.vmm.virtio.block;

/** What a block device counts. An error is counted besides the request that had it. */
enum BlockEvent {
  REQUESTS_READ,
  REQUESTS_WRITE,
  REQUESTS_FLUSH,
  REQUESTS_GET_ID,
  /** Answered with S_UNSUPP. */
  REQUESTS_UNSUPPORTED,
  BYTES_READ,
  BYTES_WRITTEN,
  /** A buffer was empty, outside memory, or out of order. */
  ERRORS_DESCRIPTORS,
  /** No room for header or status, or data of an illegal size. */
  ERRORS_MALFORMED,
  /** A sector beyond the capacity. */
  ERRORS_OUT_OF_RANGE,
  /** A write to a read-only disk. */
  ERRORS_READ_ONLY,
  /** The host's file system is full. */
  ERRORS_NO_SPACE,
  /** The host's file or device failed, or ended too soon. */
  ERRORS_INPUT_OUTPUT
}
