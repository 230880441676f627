package dev.vireo.images;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/**
 * A directory that is built once and kept until what it is built from changes. It appears whole, by
 * rename; a build that dies leaves a hidden directory, which the next build removes. Of several
 * processes that want it at once, one builds and the others wait.
 */
public final class CachedDirectory {
  private static final String FINGERPRINT_FILE = ".fingerprint";

  /** Fills an empty directory. */
  @FunctionalInterface
  public interface Builder {
    /** Writes the content into a directory that later gets another name. */
    void buildInto(Path directory) throws IOException, ImageException;
  }

  private CachedDirectory() {}

  /**
   * The directory, from the cache if its fingerprint is the same, otherwise built now.
   *
   * @return {@code parent/name}
   */
  public static Path obtain(Path parent, String name, String fingerprint, Builder builder)
      throws IOException, ImageException {
    Path directory = parent.resolve(name);
    if (isCurrent(directory, fingerprint)) {
      return directory;
    }
    Files.createDirectories(parent);
    // A file lock is the whole JVM's: its threads take turns by the monitor.
    synchronized (CachedDirectory.class) {
      try (FileChannel lockFile =
              FileChannel.open(
                  parent.resolve("." + name + ".lock"),
                  StandardOpenOption.CREATE,
                  StandardOpenOption.WRITE);
          FileLock lock = lockFile.lock()) {
        if (lock.isValid() && !isCurrent(directory, fingerprint)) {
          replace(directory, fingerprint, builder);
        }
      }
    }
    return directory;
  }

  private static boolean isCurrent(Path directory, String fingerprint) throws IOException {
    Path file = directory.resolve(FINGERPRINT_FILE);
    return Files.exists(file) && Files.readString(file).equals(fingerprint);
  }

  private static void replace(Path directory, String fingerprint, Builder builder)
      throws IOException, ImageException {
    Path building = directory.resolveSibling("." + directory.getFileName() + ".building");
    Path old = directory.resolveSibling("." + directory.getFileName() + ".old");
    FileTrees.delete(building);
    FileTrees.delete(old);
    Files.createDirectory(building);
    try {
      builder.buildInto(building);
      Files.writeString(building.resolve(FINGERPRINT_FILE), fingerprint);
      if (Files.exists(directory)) {
        Files.move(directory, old, StandardCopyOption.ATOMIC_MOVE);
      }
      Files.move(building, directory, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      FileTrees.delete(building);
      FileTrees.delete(old);
    }
  }
}
