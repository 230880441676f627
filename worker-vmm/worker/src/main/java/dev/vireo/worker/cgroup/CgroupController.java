package dev.vireo.worker.cgroup;

import java.util.Locale;

/** A resource controller of the kernel's control groups, by its name in both versions. */
public enum CgroupController {
  CPU,
  MEMORY,
  PIDS;

  String label() {
    return name().toLowerCase(Locale.ROOT);
  }
}
