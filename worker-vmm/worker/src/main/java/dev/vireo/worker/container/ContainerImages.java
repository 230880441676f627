package dev.vireo.worker.container;

import dev.vireo.images.container.ContainerImage;
import dev.vireo.proto.v1.ImagePull;
import java.util.concurrent.CompletableFuture;

/** The container images that this node has, and can get. */
@FunctionalInterface
public interface ContainerImages {
  /**
   * Finds an image, or gets it from where it comes from, once for all who wait for it. Fails with a
   * {@link dev.vireo.worker.boot.RejectedException}. One that is cancelled stops, and leaves
   * nothing.
   *
   * @param reference a name as docker reads it, or {@code sha256:…}
   */
  CompletableFuture<ContainerImage> obtain(String reference, ImagePull pull);
}
