package dev.vireo.oci;

import java.io.BufferedInputStream;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarFile;
import org.jspecify.annotations.Nullable;

/** Files by relative name: those below a directory, or in a tar. */
interface FileSet extends Closeable {
  /** The file of this name, if there is one. */
  Optional<Blob> find(String name) throws IOException;

  @Override
  default void close() throws IOException {}

  /** Those of a directory. */
  static FileSet ofDirectory(Path directory) {
    return name -> {
      Path file = directory.resolve(name);
      return Files.isRegularFile(file)
          ? Optional.of(() -> Files.newInputStream(file))
          : Optional.empty();
    };
  }

  /**
   * Those of a tar that is not compressed. They are read where they are.
   *
   * @throws IOException also if it is no such tar
   */
  static FileSet ofTar(Path file) throws IOException {
    return new InTar(file);
  }

  /** Files in a tar. {@code docker save} has symbolic links for layers that are there already. */
  final class InTar implements FileSet {
    private static final int BUFFER = 1 << 16;

    /** A link to a link is none of docker's. */
    private static final int MOST_LINKS = 2;

    private final TarFile tar;
    private final Map<String, TarArchiveEntry> entries = new HashMap<>();

    private InTar(Path file) throws IOException {
      tar = open(file);
      tar.getEntries().forEach(entry -> entries.put(normal(entry.getName()), entry));
    }

    private static TarFile open(Path file) throws IOException {
      try {
        return new TarFile(file);
      } catch (IllegalArgumentException e) {
        throw new IOException("not a tar: " + e.getMessage(), e);
      }
    }

    private static String normal(String name) {
      return name.startsWith("./") ? name.substring(2) : name;
    }

    @Override
    public Optional<Blob> find(String name) {
      String wanted = normal(name);
      for (int links = 0; links <= MOST_LINKS; links++) {
        @Nullable TarArchiveEntry entry = entries.get(wanted);
        if (entry == null) {
          return Optional.empty();
        }
        if (!entry.isSymbolicLink()) {
          return entry.isFile()
              ? Optional.of(() -> new BufferedInputStream(tar.getInputStream(entry), BUFFER))
              : Optional.empty();
        }
        wanted = Path.of(wanted).resolveSibling(entry.getLinkName()).normalize().toString();
      }
      return Optional.empty();
    }

    @Override
    public void close() throws IOException {
      tar.close();
    }
  }
}
