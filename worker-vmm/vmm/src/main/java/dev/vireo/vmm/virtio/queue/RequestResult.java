package dev.vireo.vmm.virtio.queue;

/** How a traced request ended, as far as the guest was told. */
public enum RequestResult {
  OK("ok"),
  ERROR("error"),
  UNSUPPORTED("unsupported"),
  /** A chain that is no request: see {@link ChainDefect}. */
  MALFORMED("malformed");

  private static final RequestResult[] ALL = values();

  private final String label;

  RequestResult(String label) {
    this.label = label;
  }

  /** The name on the wire. */
  public String label() {
    return label;
  }

  static RequestResult of(int ordinal) {
    return ALL[ordinal];
  }
}
