package dev.vireo.vmm.virtio.net;

/**
 * What a network device counts. RX is from the host to the guest, TX from the guest to the host.
 */
enum NetEvent {
  RX_FRAMES,
  /** Without headers of virtio. */
  RX_BYTES,
  TX_FRAMES,
  TX_BYTES,
  /** Times that the limit made frames wait. */
  RX_RATE_LIMITED,
  TX_RATE_LIMITED,
  /** Larger than the driver's buffer, and buffers are not merged. */
  RX_DROPPED_TOO_LONG,
  /** The driver gave too few buffers to hold the frame, and no more in time. */
  RX_DROPPED_NO_BUFFERS,
  /** The host could not hand the frame over. */
  RX_DROPPED_BY_HOST,
  /** The host's kernel refused the frame for what its header says, or for its size. */
  TX_REFUSED,
  /** The host's kernel had no room for it. */
  TX_DROPPED_BY_HOST,
  /** The link is down, or the driver has switched this pair of queues off. */
  TX_DROPPED_LINK_DOWN,
  CONTROL_ACCEPTED,
  /** A command that is unknown, malformed, or asks for what was not negotiated. */
  CONTROL_REFUSED,
  LINK_DOWN,
  LINK_UP,
  /** A buffer was empty, outside memory, or out of order. */
  ERRORS_DESCRIPTORS,
  /** A buffer to be written in the transmit queue, or to be read in the receive queue. */
  ERRORS_DIRECTION,
  /** No room for a header, or nothing after it. */
  ERRORS_TOO_SHORT,
  /** A frame larger than any can be. */
  ERRORS_TOO_LONG
}
