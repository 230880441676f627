package dev.vireo.worker.microvm;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A link to the root file system of a container's image, which lives as long as the microVM,
 * whatever becomes of the image elsewhere: what the guest writes is written above it.
 */
final class ContainerRoot {
  private static final System.Logger LOG = System.getLogger("microvm");

  private final Path link;

  ContainerRoot(Path directory) {
    this.link = directory.resolve("container-root");
  }

  Path path() {
    return link;
  }

  /** On another file system only the image's path can be kept. */
  void keep(Path root) throws IOException {
    try {
      Files.createLink(link, root);
    } catch (FileSystemException e) {
      LOG.log(Level.DEBUG, "{0}: {1}", link, e.getReason());
      Files.createSymbolicLink(link, root);
    }
  }
}
