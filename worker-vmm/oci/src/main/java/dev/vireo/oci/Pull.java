package dev.vireo.oci;

import static dev.vireo.images.ImageException.Reason.DISK_FULL;
import static dev.vireo.images.ImageException.Reason.LAYER_INVALID;

import dev.vireo.images.FileTrees;
import dev.vireo.images.ImageException;
import dev.vireo.images.container.ContainerImage;
import dev.vireo.images.container.ContainerImageCache;
import dev.vireo.oci.PullProgress.Phase;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Brings an image from its source into a node's cache. */
final class Pull {
  /**
   * Of all layers, not compressed: a few bytes of each may stand for as much as a layer may have.
   */
  private static final long MOST_BYTES = 2 * LayerScan.MOST_BYTES;

  private final ContainerImageCache cache;
  private final PullProgress progress;

  Pull(ContainerImageCache cache, PullProgress progress) {
    this.cache = cache;
    this.progress = progress;
  }

  /**
   * Brings an image that was resolved; one that is here already is not brought again. What killed
   * pulls have left is removed first.
   *
   * @return the image, which stays until that is closed, also without a name
   */
  ContainerImageCache.Use run(ImageSource source, SourceImage image)
      throws IOException, ImageException {
    try {
      cache.sweep();
      return cache.obtainInUse(image.config().id(), directory -> make(source, image, directory));
    } catch (IOException e) {
      if (isDiskFull(e)) {
        throw new ImageException(
            DISK_FULL,
            "the disk of the image cache is full; vireo image prune --keep-free makes room",
            e);
      }
      throw e;
    }
  }

  private static boolean isDiskFull(IOException e) {
    String message = String.valueOf(e.getMessage());
    return message.contains("No space left on device") || message.contains("quota exceeded");
  }

  private ContainerImage.Settings make(ImageSource source, SourceImage image, Path directory)
      throws IOException, ImageException {
    DiskFloor floor = new DiskFloor(cache::freeBytes);
    floor.require();
    Path work = Files.createDirectory(directory.resolve("work"));
    SourceImage here = source.fetch(image, work, floor, progress);
    RootTree tree = read(here.layers());
    Squashfs.make(
        directory.resolve(ContainerImage.ROOT_FILE),
        out -> {
          try (RootWriter writer = new RootWriter(out, floor)) {
            write(here.layers(), tree, writer);
          }
        });
    FileTrees.delete(work);
    return here.config().settings();
  }

  /** The first reading: what there is, and which of it the root has. */
  private RootTree read(List<Layer> layers) throws IOException, ImageException {
    progress.begin(Phase.READ, totalBytes(layers));
    RootTree tree = new RootTree();
    long bytes = 0;
    for (int i = 0; i < layers.size(); i++) {
      List<LayerEntry> entries = new ArrayList<>();
      long tarBytes =
          new LayerScan(layers.get(i), i + 1, progress::advance)
              .read((position, entry, content) -> entries.add(entry));
      // Of sparse files the tar has less.
      bytes += Math.max(tarBytes, entries.stream().mapToLong(LayerEntry::size).sum());
      if (bytes > MOST_BYTES) {
        throw new ImageException(
            LAYER_INVALID,
            "the first %d layers are larger than %d bytes, which is what an image may have"
                .formatted(i + 1, MOST_BYTES));
      }
      tree.apply(entries);
    }
    return tree;
  }

  /** The second: the files that the root has. */
  private void write(List<Layer> layers, RootTree tree, RootWriter writer)
      throws IOException, ImageException {
    progress.begin(Phase.WRITE, totalBytes(layers));
    writer.begin(tree, layers.size());
    for (int i = 0; i < layers.size(); i++) {
      int number = i;
      if (writer.needs(number)) {
        new LayerScan(layers.get(number), number + 1, progress::advance)
            .read((position, entry, content) -> writer.file(number, position, entry, content));
      }
    }
  }

  /** 0 if a source does not tell. */
  private static long totalBytes(List<Layer> layers) {
    return layers.stream()
        .map(Layer::descriptor)
        .flatMap(Optional::stream)
        .mapToLong(Descriptor::size)
        .sum();
  }
}
