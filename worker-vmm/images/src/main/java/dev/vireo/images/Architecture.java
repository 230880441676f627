package dev.vireo.images;

import java.util.Arrays;
import java.util.Optional;

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

  /** This machine's. */
  public static Architecture ofHost() {
    return System.getProperty("os.arch").equals("aarch64") ? ARM64 : X86_64;
  }

  /** The one that is written like this, if any. */
  public static Optional<Architecture> labelled(String label) {
    return Arrays.stream(values()).filter(one -> one.label.equals(label)).findFirst();
  }

  /** How {@code image.properties} and command lines write it. */
  public String label() {
    return label;
  }

  /** What dpkg calls it. */
  public String debianName() {
    return debianName;
  }

  /**
   * What the names of compilers for it begin with: nothing if it is the host's own, otherwise as
   * Debian's cross compilers have it, {@code aarch64-linux-gnu-}.
   */
  String gnuPrefix() {
    if (this == ofHost()) {
      return "";
    }
    return switch (this) {
      case X86_64 -> "x86_64-linux-gnu-";
      case ARM64 -> "aarch64-linux-gnu-";
    };
  }
}
