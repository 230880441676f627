package dev.vireo.images;

import java.io.IOException;
import java.nio.file.Path;

/** How one image is built. */
interface ImageRecipe {
  /** The image's name in the store. */
  String name();

  /** For people, one line. */
  String description();

  /**
   * Makes what the image is made of and what is kept on its own, as a kernel is, if it is not there
   * or no longer what it should be.
   */
  default void prepare() throws IOException, ImageException {}

  /** Whether the image can be built without a {@link #prepare} that may take long. */
  default boolean isPrepared() throws IOException, ImageException {
    return true;
  }

  /**
   * Stands for all that the result depends on but for the versions of packages: with the same
   * fingerprint an image is not built again, so that no network is needed.
   *
   * @throws ImageException INPUT_MISSING
   */
  String fingerprint() throws IOException, ImageException;

  /** Puts the image's files and properties into an empty directory. */
  void buildInto(Path directory) throws IOException, ImageException;
}
