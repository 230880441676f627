package dev.vireo.oci;

import dev.vireo.images.container.ImageName;
import java.util.List;
import java.util.Optional;

/**
 * An image as its source has it, for one architecture.
 *
 * @param layers from the lowest to the topmost
 * @param name that the source itself gives it, if any
 */
record SourceImage(ImageConfig config, List<Layer> layers, Optional<ImageName> name) {
  SourceImage {
    layers = List.copyOf(layers);
  }
}
