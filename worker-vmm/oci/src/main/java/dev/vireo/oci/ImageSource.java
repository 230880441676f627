package dev.vireo.oci;

import dev.vireo.images.Architecture;
import dev.vireo.images.ImageException;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Path;

/** Where an image comes from. */
interface ImageSource extends Closeable {
  /**
   * The image, its configuration read and verified, its layers not.
   *
   * @throws ImageException IMAGE_UNKNOWN, ARCHITECTURE_MISSING, MANIFEST_INVALID, DIGEST_MISMATCH
   */
  SourceImage resolve(Architecture architecture) throws IOException, ImageException;

  /**
   * Brings what is far away here, each blob verified as it comes.
   *
   * @param directory an empty one, for blobs; what is here already stays where it is
   * @param floor of that directory's disk
   * @return the image with layers that can be read
   */
  default SourceImage fetch(
      SourceImage image, Path directory, DiskFloor floor, PullProgress progress)
      throws IOException, ImageException {
    return image;
  }

  @Override
  default void close() throws IOException {}
}
