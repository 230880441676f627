package dev.vireo.worker.boot;

import dev.vireo.images.GuestImage;
import dev.vireo.images.ImageDirectory;
import dev.vireo.images.ImageException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/** The image store as creates see it: an image is read again only once it has been replaced. */
final class KnownImages {
  /** An image as it was read, and what tells whether that is still so. */
  private record Known(GuestImage image, @Nullable Object fileKey, FileTime modified) {
    boolean isOf(BasicFileAttributes properties) {
      return properties.lastModifiedTime().equals(modified)
          && fileKey != null
          && fileKey.equals(properties.fileKey());
    }
  }

  private final ImageDirectory store;
  private final Map<String, Known> byName = new ConcurrentHashMap<>();

  KnownImages(ImageDirectory store) {
    this.store = store;
  }

  /**
   * The image of this name, or nothing if the store has none.
   *
   * @throws ImageException if it is there and cannot be used
   */
  Optional<GuestImage> find(String name) throws ImageException {
    if (!GuestImage.isName(name)) {
      return Optional.empty();
    }
    Path file = store.path().resolve(name).resolve(GuestImage.PROPERTIES_FILE);
    BasicFileAttributes properties;
    try {
      properties = Files.readAttributes(file, BasicFileAttributes.class);
    } catch (IOException e) {
      // No image, or one that is broken: the store knows which.
      return store.find(name);
    }
    Known known = byName.get(name);
    if (known != null && known.isOf(properties)) {
      return Optional.of(known.image);
    }
    Optional<GuestImage> image = store.find(name);
    if (image.isPresent()) {
      byName.put(name, new Known(image.get(), properties.fileKey(), properties.lastModifiedTime()));
    }
    return image;
  }

  /** The names of all that can be used. */
  List<String> names() throws ImageException {
    return store.list().images().stream().map(GuestImage::name).toList();
  }
}
