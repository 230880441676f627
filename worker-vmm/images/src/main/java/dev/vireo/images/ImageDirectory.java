package dev.vireo.images;

import static dev.vireo.images.ImageException.Reason.IMAGE_INVALID;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A node's image store: a directory with one directory per {@link GuestImage}, named as the image.
 * Images appear and are replaced whole (by rename), so that a reader never sees half of one.
 *
 * @param path of the store; need not exist, and is then an empty store
 */
public record ImageDirectory(Path path) {

  /** Every image of a store, and what was wrong with those that cannot be used. Sorted by name. */
  public record Listing(List<GuestImage> images, List<ImageException> broken) {
    public Listing {
      images = List.copyOf(images);
      broken = List.copyOf(broken);
    }
  }

  /**
   * The store that the environment names: {@code $VIREO_CACHE_DIR/images}, by default {@code
   * ~/.cache/vireo/images}.
   */
  public static ImageDirectory ofEnvironment() {
    return new ImageDirectory(VireoCache.ofEnvironment().resolve("images"));
  }

  /**
   * The environment's store of images for an architecture: {@link #ofEnvironment()} for the host's
   * own; images for others, which only emulated nodes can run, are beside it.
   */
  public static ImageDirectory ofEnvironment(Architecture architecture) {
    return architecture == Architecture.ofHost()
        ? ofEnvironment()
        : new ImageDirectory(VireoCache.ofEnvironment().resolve("images-" + architecture.label()));
  }

  /**
   * The image of this name, or nothing if the store has none.
   *
   * @throws ImageException IMAGE_INVALID if it is there and cannot be used
   */
  public Optional<GuestImage> find(String name) throws ImageException {
    if (!GuestImage.isName(name) || !Files.isDirectory(path.resolve(name))) {
      return Optional.empty();
    }
    return Optional.of(GuestImage.read(path.resolve(name)));
  }

  /**
   * Reads the whole store.
   *
   * @throws ImageException IMAGE_INVALID if the store itself cannot be read
   */
  public Listing list() throws ImageException {
    List<GuestImage> images = new ArrayList<>();
    List<ImageException> broken = new ArrayList<>();
    for (Path directory : imageDirectories()) {
      try {
        images.add(GuestImage.read(directory));
      } catch (ImageException e) {
        broken.add(e);
      }
    }
    return new Listing(images, broken);
  }

  private List<Path> imageDirectories() throws ImageException {
    if (!Files.isDirectory(path)) {
      return List.of();
    }
    try (Stream<Path> entries = Files.list(path)) {
      // Names of work in progress start with a dot, which no image's name does.
      return entries
          .filter(entry -> GuestImage.isName(String.valueOf(entry.getFileName())))
          .filter(Files::isDirectory)
          .sorted()
          .toList();
    } catch (IOException e) {
      throw new ImageException(IMAGE_INVALID, "cannot read the image store " + path + ": " + e, e);
    }
  }
}
