package dev.vireo.emulated;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Optional;

/**
 * A process that can be recognized later, by another process: its id, and when it started, since
 * ids are used again.
 *
 * @param startTicks field 22 of {@code /proc/<pid>/stat} (proc(5)), in clock ticks since boot
 */
record ProcessRecord(long pid, long startTicks) {

  /** The record of a process that runs now; empty if it has ended. */
  static Optional<ProcessRecord> of(long pid) throws IOException {
    try {
      String stat = Files.readString(Path.of("/proc", Long.toString(pid), "stat"));
      // The command's name, field 2, is in parentheses and may hold anything, also spaces.
      String[] fromState = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
      boolean ended = fromState[0].equals("Z") || fromState[0].equals("X");
      return ended
          ? Optional.empty()
          : Optional.of(new ProcessRecord(pid, Long.parseLong(fromState[22 - 3])));
    } catch (NoSuchFileException e) {
      return Optional.empty();
    }
  }

  /** Reads a record that {@link #write} wrote; empty if there is none, or half of one. */
  static Optional<ProcessRecord> read(Path file) throws IOException {
    if (!Files.exists(file)) {
      return Optional.empty();
    }
    String[] words = Files.readString(file).strip().split(" ", -1);
    try {
      return words.length == 2
          ? Optional.of(new ProcessRecord(Long.parseLong(words[0]), Long.parseLong(words[1])))
          : Optional.empty();
    } catch (NumberFormatException e) {
      return Optional.empty();
    }
  }

  /** Writes it, whole or not at all. */
  void write(Path file) throws IOException {
    Path partial = file.resolveSibling("." + file.getFileName() + ".new");
    Files.writeString(partial, pid + " " + startTicks + "\n");
    Files.move(partial, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  /** Whether this very process still runs. */
  boolean isAlive() throws IOException {
    return of(pid).equals(Optional.of(this));
  }

  /** Kills it if it still runs, and waits until it is gone. */
  void kill() throws IOException {
    // The handle holds the start time as well: should the id change hands now, nobody is hit.
    Optional<ProcessHandle> handle = ProcessHandle.of(pid);
    if (handle.isPresent() && isAlive()) {
      handle.get().destroyForcibly();
      handle.get().onExit().join();
    }
  }
}
