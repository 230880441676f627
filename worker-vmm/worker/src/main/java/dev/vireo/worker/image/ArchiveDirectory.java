package dev.vireo.worker.image;

import com.google.protobuf.ByteString;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.worker.state.StateDirectory;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Where archives of images are while they come and are made into images: files of this worker's
 * own, each gone with its {@link Archive}, and those of a worker that was killed with the next
 * one's start. Thread-safe.
 */
public final class ArchiveDirectory {
  private static final System.Logger LOG = System.getLogger("image");

  /** What is left for microVMs' own files, their writable layers first of all. */
  static final long KEPT_FREE_BYTES = 128L << 20;

  /** Between two looks at the disk. */
  private static final long LOOK_EVERY_BYTES = 4L << 20;

  /** How much room the file system of a directory has. */
  @FunctionalInterface
  public interface FreeSpace {
    /** In bytes. */
    long bytes(Path directory) throws IOException;
  }

  private final Path directory;
  private final FreeSpace freeSpace;
  private final AtomicLong count = new AtomicLong();

  /**
   * Makes the directory, and removes what is left there.
   *
   * @param directory nobody else's
   */
  public ArchiveDirectory(Path directory, FreeSpace freeSpace) {
    this.directory = directory;
    this.freeSpace = freeSpace;
    try {
      StateDirectory.removeTree(directory);
    } catch (IOException e) {
      LOG.log(Level.WARNING, "cannot remove what a worker has left: {0}", e.toString());
    }
  }

  /** With the system's word on free space. */
  public static ArchiveDirectory of(Path directory) {
    return new ArchiveDirectory(directory, within -> Files.getFileStore(within).getUsableSpace());
  }

  /**
   * A new, empty archive.
   *
   * @param expectedBytes 0 if it is not known
   * @throws ImageCallException NODE_DISK_FULL if there is no room for so much
   */
  Archive create(long expectedBytes) throws ImageCallException {
    try {
      Files.createDirectories(directory);
      requireRoom(directory, expectedBytes);
      Path file = directory.resolve("archive-%d.tar".formatted(count.incrementAndGet()));
      return new Archive(
          file, FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE));
    } catch (IOException e) {
      throw failed(e);
    }
  }

  /**
   * Demands that a file system has this much room, and keeps some.
   *
   * @param within a directory of it; need not exist
   */
  void requireRoom(Path within, long bytes) throws ImageCallException {
    try {
      Path there = within;
      while (!Files.exists(there) && there.getParent() != null) {
        there = there.getParent();
      }
      long free = freeSpace.bytes(there);
      if (free - KEPT_FREE_BYTES < bytes) {
        throw new ImageCallException(
            ErrorReason.NODE_DISK_FULL,
            "",
            "the node's disk has %d MiB free, of which %d are kept; needed are %d"
                .formatted(free >> 20, KEPT_FREE_BYTES >> 20, (bytes >> 20) + 1));
      }
    } catch (IOException e) {
      throw failed(e);
    }
  }

  private static ImageCallException failed(IOException e) {
    return String.valueOf(e.getMessage()).contains("No space left on device")
        ? new ImageCallException(
            ErrorReason.NODE_DISK_FULL, "", "the node's disk has become full meanwhile")
        : new ImageCallException(
            ErrorReason.CONTAINER_IMAGE_UNAVAILABLE,
            "",
            "the node cannot keep the archive: " + e.getMessage());
  }

  /** One archive, until it is closed. Of one thread at a time. */
  final class Archive implements AutoCloseable {
    private final Path file;
    private final FileChannel channel;
    private long bytes;
    private long lookedAt;

    private Archive(Path file, FileChannel channel) {
      this.file = file;
      this.channel = channel;
    }

    Path file() {
      return file;
    }

    /** How much of it is here. */
    long bytes() {
      return bytes;
    }

    /**
     * Adds to it.
     *
     * @throws ImageCallException NODE_DISK_FULL
     */
    void write(ByteString data) throws ImageCallException {
      if (bytes + data.size() - lookedAt >= LOOK_EVERY_BYTES) {
        requireRoom(directory, data.size());
        lookedAt = bytes;
      }
      try {
        for (ByteBuffer part : data.asReadOnlyByteBufferList()) {
          while (part.hasRemaining()) {
            bytes += channel.write(part);
          }
        }
      } catch (IOException e) {
        throw failed(e);
      }
    }

    @Override
    public void close() {
      try (channel) {
        Files.deleteIfExists(file);
      } catch (IOException e) {
        LOG.log(Level.WARNING, "{0} stays until the next start: {1}", file, e.toString());
      }
    }
  }
}
