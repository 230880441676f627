package dev.vireo.emulated;

import dev.vireo.images.ImageException;
import java.io.IOException;
import java.nio.file.Path;

/** Where the outer machine's Java comes from. */
interface JavaRuntime {
  /** Stands for what it will be, as far as that is known without making it. */
  byte[] fingerprint() throws IOException;

  /**
   * Makes it.
   *
   * @param runtime the directory to make, which the outer machine has as {@code /java}
   * @param root of the outer machine: gets the shared libraries, and what else it needs
   */
  void make(Path runtime, Path root) throws IOException, ImageException;
}
