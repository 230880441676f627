package dev.vireo.images;

/** The instruction set that a guest image is built for. */
public enum Architecture {
  X86_64("x86_64", "amd64"),
  ARM64("arm64", "arm64");

  private final String label;
  private final String debianName;

  Architecture(String label, String debianName) {
    this.label = label;
    this.debianName = debianName;
  }

  /** How {@code image.properties} and command lines write it. */
  public String label() {
    return label;
  }

  /** What dpkg calls it. */
  public String debianName() {
    return debianName;
  }
}
