package dev.vireo.worker.microvm;

import dev.vireo.images.ImageException;
import dev.vireo.images.container.ContainerImage;
import dev.vireo.images.container.ContainerImageCache;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * A link to the root file system of a container's image, which lives as long as the microVM,
 * whatever becomes of the image elsewhere: what the guest writes is written above it. All of it
 * runs in the microVM's mailbox.
 */
final class ContainerRoot {
  private static final System.Logger LOG = System.getLogger("microvm");

  private final Path link;

  /** Of an image that a symbolic link leads to: nobody removes it meanwhile. */
  private ContainerImageCache.@Nullable Use use;

  ContainerRoot(Path directory) {
    this.link = directory.resolve("container-root");
  }

  Path path() {
    return link;
  }

  /**
   * On another file system only the image's path can be kept, and the image held in its cache. A
   * link that is there has nothing above it: its worker was killed before it was written down.
   */
  void keep(ContainerImage image) throws IOException {
    Path root = image.root();
    letGo();
    Files.deleteIfExists(link);
    try {
      Files.createLink(link, root);
    } catch (FileSystemException e) {
      LOG.log(Level.DEBUG, "{0}: {1}", link, e.getReason());
      Files.createSymbolicLink(link, root);
      hold(root);
    }
  }

  /** As an earlier worker has kept it. */
  void takeBack() {
    if (Files.isSymbolicLink(link)) {
      try {
        hold(Files.readSymbolicLink(link));
      } catch (IOException e) {
        LOG.log(Level.WARNING, "cannot read {0}: {1}", link, e);
      }
    }
  }

  private void hold(Path root) {
    try {
      use = ContainerImageCache.useOfRoot(root);
    } catch (IOException | ImageException e) {
      // A cache that this worker may not write, most often.
      LOG.log(Level.INFO, "{0} may be removed while it is in use: {1}", root, e.getMessage());
    }
  }

  /** The microVM needs it no more. */
  void letGo() {
    if (use == null) {
      return;
    }
    try {
      use.close();
    } catch (IOException e) {
      LOG.log(Level.WARNING, "{0}: its image stays in use: {1}", link, e);
    }
    use = null;
  }
}
