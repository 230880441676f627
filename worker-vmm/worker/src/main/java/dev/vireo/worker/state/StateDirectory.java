package dev.vireo.worker.state;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.UUID;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A worker's own directory, locked for as long as this object is open: everything that this worker
 * makes on disk is below it, and nobody else writes there.
 */
public final class StateDirectory implements AutoCloseable {
  private final Path root;
  private final FileChannel lockChannel;
  private final String nodeUid;

  private StateDirectory(Path root, FileChannel lockChannel, String nodeUid) {
    this.root = root;
    this.lockChannel = lockChannel;
    this.nodeUid = nodeUid;
  }

  /** Another worker holds the directory, or it cannot be used. */
  public static final class UnusableException extends Exception {
    private static final long serialVersionUID = 1L;

    UnusableException(String message) {
      super(message);
    }

    UnusableException(String message, Throwable cause) {
      super(message, cause);
    }
  }

  /** Makes what is missing (mode 0700) and locks it. */
  public static StateDirectory open(Path root) throws UnusableException {
    Path absolute = root.toAbsolutePath().normalize();
    try {
      var ownerOnly =
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));
      Files.createDirectories(absolute, ownerOnly);
      Files.createDirectories(absolute.resolve("vmms"), ownerOnly);
      Files.createDirectories(absolute.resolve("microvms"), ownerOnly);
      FileChannel lock = lock(absolute.resolve("lock"));
      try {
        return new StateDirectory(absolute, lock, keptUid(absolute.resolve("node-uid")));
      } catch (IOException e) {
        lock.close();
        throw e;
      }
    } catch (IOException e) {
      throw new UnusableException("cannot use " + absolute + ": " + e, e);
    }
  }

  private static FileChannel lock(Path file) throws IOException, UnusableException {
    FileChannel channel =
        FileChannel.open(
            file, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.READ);
    if (tryLock(channel) == null) {
      channel.close();
      throw new UnusableException(
          file.getParent()
              + " belongs to a running worker: stop that one first, or choose another --state-dir"
              + " or --node-id");
    }
    return channel;
  }

  private static @Nullable FileLock tryLock(FileChannel channel) throws IOException {
    try {
      return channel.tryLock();
    } catch (OverlappingFileLockException heldByThisProcess) {
      return null;
    }
  }

  private static String keptUid(Path file) throws IOException {
    if (!Files.exists(file)) {
      AtomicFile.write(file, UUID.randomUUID().toString().getBytes(UTF_8));
    }
    return Files.readString(file).strip();
  }

  /** Made once; tells this worker's node from another that took its name. */
  public String nodeUid() {
    return nodeUid;
  }

  /** Where the directory is. */
  public Path root() {
    return root;
  }

  /** The directory of one VMM process. It may not exist. */
  public Path vmm(String id) {
    return root.resolve("vmms").resolve(id);
  }

  /** The directory of one microVM. It may not exist. */
  public Path microVm(String uid) {
    if (!uid.matches("[A-Za-z0-9][-A-Za-z0-9_]{0,127}")) {
      throw new IllegalArgumentException("not a uid: " + uid);
    }
    return root.resolve("microvms").resolve(uid);
  }

  /** Where archives of images are while they come: nothing that a worker's end shall leave. */
  public Path archives() {
    return root.resolve("archives");
  }

  /** Ids of the VMM directories that exist. */
  public List<String> vmmIds() {
    return names(root.resolve("vmms"));
  }

  /** Uids of the microVM directories that exist. */
  public List<String> microVmUids() {
    return names(root.resolve("microvms"));
  }

  private static List<String> names(Path directory) {
    try (Stream<Path> entries = Files.list(directory)) {
      return entries.map(entry -> String.valueOf(entry.getFileName())).sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Removes a directory and all in it, without following links. Harmless if there is none. */
  public static void removeTree(Path directory) throws IOException {
    try {
      Files.walkFileTree(
          directory,
          new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
                throws IOException {
              Files.deleteIfExists(file);
              return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path visited, @Nullable IOException failure)
                throws IOException {
              if (failure != null) {
                throw failure;
              }
              Files.deleteIfExists(visited);
              return FileVisitResult.CONTINUE;
            }
          });
    } catch (NoSuchFileException alreadyGone) {
      // What was to be reached.
    }
  }

  /** Lets the next worker in. What runs goes on. */
  @Override
  public void close() {
    try {
      lockChannel.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
