package dev.vireo.vmm.memory;

/** What guest memory is to the host. */
public enum Backing {
  /** Private memory of this process. */
  ANONYMOUS("anonymous"),
  /** A file in memory, mapped shared. */
  SHARED("shared"),
  /** As well, in huge pages. They are kept: one that was given back may not be had again. */
  HUGE_PAGES("huge pages");

  private final String label;

  Backing(String label) {
    this.label = label;
  }

  /** As people are told. */
  public String label() {
    return label;
  }
}
