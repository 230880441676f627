package dev.vireo.worker.image;

import dev.vireo.images.Architecture;
import dev.vireo.images.ImageException;
import dev.vireo.images.container.ContainerImageCache;
import dev.vireo.images.container.ContainerImageCache.Listed;
import dev.vireo.images.container.ImageId;
import dev.vireo.images.container.ImageName;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.worker.container.PullProgram;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * This node's cache of container images, as clients may change it.
 *
 * @param architecture of this node's guests
 * @param program that makes images of archives, and puts them there
 */
public record NodeImages(
    ContainerImageCache cache, Architecture architecture, PullProgram program) {

  /** Where the cache is. */
  Path directory() {
    return program.cache();
  }

  List<Listed> list() throws ImageCallException {
    try {
      return cache.list();
    } catch (ImageException | IOException e) {
      throw unreadable(e);
    }
  }

  Optional<Listed> find(ImageId id) throws ImageCallException {
    return list().stream().filter(listed -> listed.image().id().equals(id)).findFirst();
  }

  /**
   * Removes a name, or an image.
   *
   * @return whether the image is gone
   * @throws ImageCallException NODE_IMAGE_NOT_FOUND, FIELD_INVALID
   */
  boolean remove(String reference) throws ImageCallException {
    try {
      if (ImageId.isDigest(reference)) {
        cache.remove(ImageId.parse(reference));
        return true;
      }
      return cache.remove(ImageName.parse(reference));
    } catch (ImageException e) {
      throw switch (e.reason()) {
        case IMAGE_UNKNOWN ->
            new ImageCallException(
                ErrorReason.NODE_IMAGE_NOT_FOUND,
                "",
                "the node has no container image %s".formatted(reference));
        case NAME_INVALID ->
            new ImageCallException(
                ErrorReason.FIELD_INVALID, "image", String.valueOf(e.getMessage()));
        default ->
            new ImageCallException(
                ErrorReason.CONTAINER_IMAGE_UNAVAILABLE, "", String.valueOf(e.getMessage()));
      };
    } catch (IOException e) {
      throw unreadable(e);
    }
  }

  private static ImageCallException unreadable(Exception e) {
    return new ImageCallException(
        ErrorReason.CONTAINER_IMAGE_UNAVAILABLE,
        "",
        "the node's cache of images cannot be used: " + e.getMessage());
  }
}
