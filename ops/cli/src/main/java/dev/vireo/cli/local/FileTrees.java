package dev.vireo.cli.local;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** Whole directories. */
final class FileTrees {
  private FileTrees() {}

  /** Copies with times, since a class archive is valid for jars of its own time only. */
  static void copy(Path from, Path to) throws IOException {
    for (Path file : list(from)) {
      Files.copy(
          file, to.resolve(from.relativize(file).toString()), StandardCopyOption.COPY_ATTRIBUTES);
    }
  }

  /** Removes {@code directory} and what is in it, without following links. */
  static void delete(Path directory) {
    try {
      for (Path file : list(directory).stream().sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(file);
      }
    } catch (NoSuchFileException e) {
      // Gone is what was wanted.
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The directory itself and all below it, parents first. */
  static List<Path> list(Path directory) throws IOException {
    try (Stream<Path> files = Files.walk(directory)) {
      return files.toList();
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }
}
