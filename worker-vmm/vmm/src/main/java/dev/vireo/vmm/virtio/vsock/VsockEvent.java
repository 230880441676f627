package dev.vireo.vmm.virtio.vsock;

/** What a vsock device counts. */
enum VsockEvent {
  /** Established, begun by a process of the host. */
  CONNECTIONS_FROM_HOST,
  /** Established, begun by the guest. */
  CONNECTIONS_FROM_GUEST,
  /** The guest wanted to connect, and nobody listens on the host, or no worker could ask. */
  REFUSED_BY_HOST,
  /** A process of the host wanted to connect, and the guest would not. */
  REFUSED_BY_GUEST,
  /** The guest wanted to connect, and has all the connections that it may have. */
  REFUSED_TOO_MANY,
  BYTES_TO_HOST,
  BYTES_TO_GUEST,
  /** Bytes that were still on their way when their receiver went away. */
  BYTES_DROPPED,
  /** RST packets sent, whatever for. */
  RESETS,
  /** The guest's credit was used up while there was more for it. */
  STALLS_OF_GUEST,
  /** The host's process did not read while there was more for it. */
  STALLS_OF_HOST,
  /** What a process of the host said first is not {@code CONNECT <port>}. */
  ERRORS_COMMAND,
  /** A socket could not be accepted or watched: too many files are open, most likely. */
  ERRORS_SOCKET,
  /** A connection was reset for want of memory for what its peer does not read. */
  ERRORS_NO_BUFFER,
  /** A buffer was empty, outside memory, or out of order. */
  ERRORS_DESCRIPTORS,
  /** No room for a header, or less data than the header says. */
  ERRORS_MALFORMED,
  /** A packet not from the guest's CID to the host's. */
  ERRORS_CID,
  /** A packet of an unknown type. */
  ERRORS_TYPE,
  /** A packet with an unknown operation, or one that has no place in its connection's state. */
  ERRORS_OPERATION,
  /** A packet of no connection that there is, and no RST: that may come after each end. */
  ERRORS_NO_CONNECTION,
  /** More data than the guest had credit for. */
  ERRORS_CREDIT
}
