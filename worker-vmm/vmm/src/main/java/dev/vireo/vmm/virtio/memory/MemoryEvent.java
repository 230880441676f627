package dev.vireo.vmm.virtio.memory;

/** What a memory device counts. An error is counted besides the request that had it. */
enum MemoryEvent {
  REQUESTS_PLUG,
  REQUESTS_UNPLUG,
  REQUESTS_UNPLUG_ALL,
  REQUESTS_STATE,
  BYTES_PLUGGED,
  BYTES_UNPLUGGED,
  /** A plug of more than the device asked for: refused. */
  REFUSED_BEYOND_REQUESTED,
  /** The host had no memory to give, or could not take it back: the driver tries again. */
  REFUSED_BY_HOST,
  /** Blocks that the region does not have, none at all, or an address within one. */
  ERRORS_RANGE,
  /** A plug of what is plugged, or an unplug of what is not. */
  ERRORS_STATE,
  /** A request of a type that VIRTIO 1.2 does not know. */
  ERRORS_UNKNOWN,
  /** A request that is too short, or has no room for its response. */
  ERRORS_MALFORMED,
  /** A buffer was empty, outside memory, or out of order. */
  ERRORS_DESCRIPTORS
}
