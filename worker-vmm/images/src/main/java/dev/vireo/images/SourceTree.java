package dev.vireo.images;

import java.nio.file.Path;
import java.util.Optional;

/** Where Vireo's own source tree is, with what its build has left in it. */
public final class SourceTree {
  private SourceTree() {}

  /**
   * What the launcher says in the system property {@code vireo.root} or the environment variable
   * {@code VIREO_ROOT}; otherwise the current directory.
   */
  public static Path ofEnvironment() {
    return Path.of(
            Optional.ofNullable(System.getProperty("vireo.root"))
                .or(() -> Optional.ofNullable(System.getenv("VIREO_ROOT")))
                .orElse(""))
        .toAbsolutePath();
  }
}
