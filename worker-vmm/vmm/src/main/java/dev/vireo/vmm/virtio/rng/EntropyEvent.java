package dev.vireo.vmm.virtio.rng;

/** What an entropy device counts. An error is counted besides the request that had it. */
enum EntropyEvent {
  REQUESTS,
  BYTES,
  /** A request had to wait for the rate limit. */
  RATE_LIMITED,
  /** A buffer was empty, outside memory, or out of order. */
  ERRORS_DESCRIPTORS,
  /** A buffer to read, or none to write. */
  ERRORS_MALFORMED,
  /** The host's kernel gave less than was asked for. */
  ERRORS_INPUT_OUTPUT
}
