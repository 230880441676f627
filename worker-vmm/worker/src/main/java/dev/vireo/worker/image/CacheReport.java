package dev.vireo.worker.image;

import dev.vireo.images.ImageException;
import dev.vireo.images.container.ContainerImageCache;
import dev.vireo.images.container.ContainerImageCache.Held;
import dev.vireo.proto.v1.ContainerImage;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * What this node tells its controller of its cache of container images, so that microVMs come here
 * that need them: the same as long as no image comes or goes, and never much. Thread-safe.
 */
public final class CacheReport {
  private static final System.Logger LOG = System.getLogger("image");

  /** The public contract's bound. */
  static final int MOST_IMAGES = 100;

  /** Of all in one message: an image may have many names, each of 255 characters and a tag. */
  static final int MOST_BYTES = 32 << 10;

  private final ContainerImageCache cache;
  private List<ContainerImage> last = List.of();
  private String problem = "";

  public CacheReport(ContainerImageCache cache) {
    this.cache = cache;
  }

  /** By id: those that are there now, or, if that cannot be read, those that were. */
  public synchronized List<ContainerImage> images() {
    try {
      last = within(cache.held().reversed());
      problem = "";
    } catch (IOException | ImageException e) {
      tellOnce(e.toString());
    }
    return last;
  }

  /** The first of them, as many as there is room for. */
  private static List<ContainerImage> within(List<Held> lastUsedFirst) {
    List<ContainerImage> images = new ArrayList<>();
    int bytes = 0;
    for (Held held : lastUsedFirst) {
      ContainerImage image = image(held);
      bytes += image.getSerializedSize();
      if (images.size() == MOST_IMAGES || bytes > MOST_BYTES) {
        break;
      }
      images.add(image);
    }
    images.sort(Comparator.comparing(ContainerImage::getId));
    return List.copyOf(images);
  }

  /** Without the time of its last use, which is another with each microVM. */
  private static ContainerImage image(Held held) {
    ContainerImage.Builder image =
        ContainerImage.newBuilder().setId(held.id().toString()).setRootBytes(held.rootBytes());
    held.names().forEach(name -> image.addNames(name.toString()));
    return image.build();
  }

  private void tellOnce(String why) {
    if (!why.equals(problem)) {
      LOG.log(Level.WARNING, "the controller is not told of images that come now: {0}", why);
      problem = why;
    }
  }
}
