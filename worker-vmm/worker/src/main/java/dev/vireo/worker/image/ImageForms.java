package dev.vireo.worker.image;

import dev.vireo.images.container.ContainerImageCache.Listed;
import dev.vireo.proto.time.Timestamps;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.ContainerImage;

/** How an image of the cache is told of. */
final class ImageForms {
  private ImageForms() {}

  static ContainerImage of(Listed listed) {
    ContainerImage.Builder image =
        ContainerImage.newBuilder()
            .setId(listed.image().id().toString())
            .setArchitecture(
                switch (listed.image().settings().architecture()) {
                  case X86_64 -> Architecture.X86_64;
                  case ARM64 -> Architecture.ARM64;
                })
            .setRootBytes(listed.image().rootBytes())
            .setLastUseTime(Timestamps.of(listed.lastUse()));
    listed.names().forEach(name -> image.addNames(name.toString()));
    return image.build();
  }
}
