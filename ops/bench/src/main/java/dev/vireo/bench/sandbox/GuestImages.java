package dev.vireo.bench.sandbox;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Has a private worker find the Linux images that this machine has, if it can run them. */
final class GuestImages {
  private GuestImages() {}

  /**
   * Links them; a worker that cannot run them says so.
   *
   * @param from the user's cache
   * @param to the worker's
   */
  static void share(Path from, Path to) throws IOException {
    for (String image : new String[] {"images/debian-12", "images/vireo-6.1", "images-oci"}) {
      Path link = to.resolve(image);
      if (Files.exists(from.resolve(image)) && !Files.exists(link)) {
        Files.createDirectories(link.getParent());
        Files.createSymbolicLink(link, from.resolve(image).toAbsolutePath());
      }
    }
  }
}
