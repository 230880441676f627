package dev.vireo.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A process's memory as /proc/PID/smaps_rollup tells it (proc(5)). */
final class ProcessMemory {
  private ProcessMemory() {}

  /** Proportional set size in MiB: private pages, and of each shared one its share. */
  static double pssMib(long pid) throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/" + pid + "/smaps_rollup"))) {
      if (line.startsWith("Pss:")) {
        return Long.parseLong(line.replaceAll("[^0-9]", "")) / 1024.0;
      }
    }
    throw new IOException("no Pss line in smaps_rollup of process " + pid);
  }
}
