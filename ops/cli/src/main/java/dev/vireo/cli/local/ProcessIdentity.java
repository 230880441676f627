package dev.vireo.cli.local;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;

/**
 * A process that can be told from every other one, also from a later one with its id.
 *
 * @param startTicks field 22 of {@code /proc/<pid>/stat} (proc(5)), in clock ticks since boot
 * @param bootId {@code /proc/sys/kernel/random/boot_id}: ids and ticks begin anew at each boot
 */
record ProcessIdentity(long pid, long startTicks, String bootId) {
  /** Fields of {@code stat} from the third on are numbered from here, after the command's name. */
  private static final int FIRST_FIELD_AFTER_NAME = 3;

  private static final int START_TIME_FIELD = 22;

  /** What a shell writes before it becomes the daemon: {@code pid ticks boot-id}. */
  static Optional<ProcessIdentity> read(Path file) {
    try {
      String[] words = Files.readString(file).strip().split(" ", -1);
      return words.length == 3
          ? Optional.of(
              new ProcessIdentity(Long.parseLong(words[0]), Long.parseLong(words[1]), words[2]))
          : Optional.empty();
    } catch (NoSuchFileException e) {
      return Optional.empty();
    } catch (NumberFormatException e) {
      return Optional.empty();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The process, if it still runs. The handle, too, refuses a successor with the same id. */
  Optional<ProcessHandle> handle() {
    Optional<ProcessHandle> handle = ProcessHandle.of(pid);
    return isAlive() ? handle : Optional.empty();
  }

  private boolean isAlive() {
    try {
      if (!bootId.equals(Files.readString(Path.of("/proc/sys/kernel/random/boot_id")).strip())) {
        return false;
      }
      String stat = Files.readString(Path.of("/proc", Long.toString(pid), "stat"));
      // The command's name is in parentheses and may hold anything.
      String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
      boolean ended = fields[0].equals("Z") || fields[0].equals("X");
      return !ended
          && startTicks == Long.parseLong(fields[START_TIME_FIELD - FIRST_FIELD_AFTER_NAME]);
    } catch (IOException e) {
      return false;
    }
  }
}
