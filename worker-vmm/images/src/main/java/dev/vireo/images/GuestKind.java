package dev.vireo.images;

/** Whether a guest needs a KVM that can run an operating system's kernel mode. */
public enum GuestKind {
  /** A Linux kernel: needs hardware virtualization. */
  LINUX("linux"),
  /** Works at CPL3 with a minimal CPL0 stub: runs on every KVM. */
  BARE_METAL("bare-metal");

  private final String label;

  GuestKind(String label) {
    this.label = label;
  }

  /** How {@code image.properties} writes it. */
  public String label() {
    return label;
  }
}
