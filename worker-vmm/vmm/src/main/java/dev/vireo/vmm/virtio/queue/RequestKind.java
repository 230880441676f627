package dev.vireo.vmm.virtio.queue;

/** What a chain is for, as people call it. */
public enum RequestKind {
  REQUEST("request"),
  READ("read"),
  WRITE("write"),
  FLUSH("flush"),
  DISCARD("discard"),
  WRITE_ZEROES("write-zeroes"),
  GET_ID("get-id"),
  TRANSMIT("transmit"),
  /** A buffer for something to come: how long it was held says nothing of the device. */
  RECEIVE("receive"),
  ENTROPY("entropy"),
  INFLATE("inflate"),
  DEFLATE("deflate"),
  REPORT("report"),
  /** A buffer that is held until somebody wants to know. */
  STATISTICS("statistics"),
  CONTROL("control"),
  /** A buffer for something to come. */
  EVENT("event");

  private static final RequestKind[] ALL = values();

  private final String label;

  RequestKind(String label) {
    this.label = label;
  }

  /** The name on the wire. */
  public String label() {
    return label;
  }

  /** Whether the device holds such a chain until something happens that nobody asked it for. */
  boolean waits() {
    return this == RECEIVE || this == EVENT || this == STATISTICS;
  }

  static RequestKind of(int ordinal) {
    return ALL[ordinal];
  }
}
