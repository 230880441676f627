package dev.vireo.vmm.machine;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** What this process, which is the VMM in a test, has of the host's memory. */
final class Resident {
  /** This JVM does more than to hold a guest. */
  static final long NOISE = 12 << 20;

  /** All of it, as {@code /proc/self/status} names it. */
  static final String ALL = "VmRSS:";

  /** That of files in memory. */
  static final String OF_FILES = "RssShmem:";

  private Resident() {}

  /** Bytes of a kind. */
  static long bytes(String kind) throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith(kind)) {
        return Long.parseLong(line.replaceAll("\\D", "")) << 10;
      }
    }
    throw new IOException("no " + kind);
  }
}
