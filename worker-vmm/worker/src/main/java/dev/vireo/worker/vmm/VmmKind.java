package dev.vireo.worker.vmm;

import java.util.Locale;

/** How a VMM's JVM compiles it (worker-vmm/vmm/src/packaging/README.md). */
public enum VmmKind {
  /** C1 alone: the least memory. */
  LEAN("@vmm.args"),
  /** C1, then C2: less CPU time for each I/O of a busy guest. */
  FAST("@fast.args");

  /** The kind that is kept in reserve. */
  static final VmmKind POOLED = LEAN;

  private final String arguments;

  VmmKind(String arguments) {
    this.arguments = arguments;
  }

  /** The argument file that the VMM's module builds for it, as {@code java} takes one. */
  String arguments() {
    return arguments;
  }

  /** As it is in records. */
  String label() {
    return name().toLowerCase(Locale.ROOT);
  }
}
