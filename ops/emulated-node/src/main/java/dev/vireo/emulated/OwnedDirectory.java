package dev.vireo.emulated;

import static dev.vireo.emulated.EmulatedNodeException.Reason.STATE_IN_USE;

import dev.vireo.images.FileTrees;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A directory that belongs to one living process: it holds a lock, which the kernel takes back when
 * that process ends in whatever way.
 */
final class OwnedDirectory implements AutoCloseable {
  private static final String LOCK_FILE = "lock";

  private final Path path;
  private final FileChannel lock;
  private final boolean scratch;

  private OwnedDirectory(Path path, FileChannel lock, boolean scratch) {
    this.path = path;
    this.lock = lock;
    this.scratch = scratch;
  }

  /**
   * Makes a directory this process's own; it stays when closed.
   *
   * @throws EmulatedNodeException STATE_IN_USE if it is another living process's
   */
  static OwnedDirectory claim(Path path) throws IOException, EmulatedNodeException {
    Files.createDirectories(path);
    return tryClaim(path, false)
        .orElseThrow(() ->
            new EmulatedNodeException(STATE_IN_USE, path + " is that of a node that runs now"));
  }

  /**
   * Makes a new directory for this process alone, which goes when closed, and removes those that
   * killed processes left.
   *
   * @param parent holds nothing else
   */
  static OwnedDirectory scratch(Path parent) throws IOException {
    Files.createDirectories(parent);
    // One at a time: a directory that was just made and is not locked yet is not abandoned.
    try (FileChannel turn = openLock(parent)) {
      turn.lock();
      removeAbandoned(parent);
      return tryClaim(Files.createTempDirectory(parent, "run-"), true).orElseThrow();
    }
  }

  private static void removeAbandoned(Path parent) throws IOException {
    List<Path> directories;
    try (Stream<Path> entries = Files.list(parent)) {
      directories = entries.filter(Files::isDirectory).toList();
    }
    for (Path directory : directories) {
      var abandoned = tryClaim(directory, true);
      if (abandoned.isPresent()) {
        OuterMachine.removeLeftover(directory);
        abandoned.get().close();
      }
    }
  }

  private static Optional<OwnedDirectory> tryClaim(Path path, boolean scratch) throws IOException {
    FileChannel channel = openLock(path);
    if (channel.tryLock() == null) {
      channel.close();
      return Optional.empty();
    }
    return Optional.of(new OwnedDirectory(path, channel, scratch));
  }

  private static FileChannel openLock(Path directory) throws IOException {
    return FileChannel.open(
        directory.resolve(LOCK_FILE), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
  }

  Path path() {
    return path;
  }

  /** Gives the directory up; a scratch one goes with all it holds. */
  @Override
  public void close() throws IOException {
    if (scratch) {
      FileTrees.delete(path);
    }
    lock.close();
  }
}
