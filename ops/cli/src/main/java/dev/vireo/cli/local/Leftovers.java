package dev.vireo.cli.local;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Processes that write their standard output into a state directory. Every daemon does, and so does
 * every VMM and every outer machine, whoever started it and whether or not that one still lives.
 */
final class Leftovers {
  private Leftovers() {}

  static List<ProcessHandle> of(Path stateDirectory) {
    return ProcessHandle.allProcesses()
        .filter(process -> writesInto(process, stateDirectory))
        .toList();
  }

  private static boolean writesInto(ProcessHandle process, Path directory) {
    try {
      Path output = Path.of("/proc", Long.toString(process.pid()), "fd/1");
      return Files.readSymbolicLink(output).startsWith(directory);
    } catch (IOException e) {
      // It has ended, or is another user's.
      return false;
    }
  }
}
