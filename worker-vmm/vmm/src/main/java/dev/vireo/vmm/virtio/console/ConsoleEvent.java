package dev.vireo.vmm.virtio.console;

/** What a console device counts. */
enum ConsoleEvent {
  /** Processes of the host that have connected to a port. */
  CLIENTS,
  /** Clients that had closed, and whose bytes the guest did not take while another waited. */
  CLIENTS_CUT_OFF,
  BYTES_TO_HOST,
  BYTES_TO_GUEST,
  /** Output that nobody took: no client, and no room where it is kept for one. */
  BYTES_DROPPED,
  /** Characters by the register for emergencies. */
  EMERGENCY_WRITES,
  /** A client did not read while there was more for it. */
  STALLS_OF_HOST,
  /** The guest gave no buffers while there was more for it. */
  STALLS_OF_GUEST,
  /** A rate limit was waited for. */
  RATE_LIMITED,
  /** The driver could not set the device or a port up, it says. */
  DRIVER_FAILURES,
  /** A client could not be accepted, watched or served: too many files are open, most likely. */
  ERRORS_SOCKET,
  /** A buffer was empty, outside memory, or out of order. */
  ERRORS_DESCRIPTORS,
  /** A buffer of the wrong direction, or a control message that is none. */
  ERRORS_MALFORMED,
  /** A control message about a port that does not exist. */
  ERRORS_PORT,
  /** A control message that is unknown, or not the driver's to send. */
  ERRORS_EVENT,
  /** A control message that has no place before, or after, what was said. */
  ERRORS_SEQUENCE
}
