package dev.vireo.emulated;

import dev.vireo.images.Commands;
import dev.vireo.images.Ext4;
import dev.vireo.images.ImageException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** The outer machine's second disk: the files of its job, read-only in {@code /job}. */
final class JobDisk {
  private static final long MIB = 1 << 20;

  private JobDisk() {}

  /** Makes a disk image that holds what a directory does. */
  static void make(Path contents, Path file, Commands commands) throws IOException, ImageException {
    // Inodes, block maps and rounding: an eighth more and some, and the file is sparse anyway.
    long sizeMib = sizeOf(contents) * 9 / 8 / MIB + 32;
    Ext4.make(contents, file, Math.toIntExact(sizeMib), "job", commands, "-O", "^has_journal");
  }

  private static long sizeOf(Path directory) throws IOException {
    try (Stream<Path> files = Files.walk(directory)) {
      return files.filter(Files::isRegularFile).mapToLong(JobDisk::roundedSize).sum();
    } catch (UncheckedIOException e) {
      throw new IOException(e);
    }
  }

  private static long roundedSize(Path file) {
    try {
      return (Files.size(file) + 4095) / 4096 * 4096;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
