package dev.vireo.images;

import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Where Vireo keeps what it can build again: {@code $VIREO_CACHE_DIR}, or {@code ~/.cache/vireo}.
 */
public final class VireoCache {
  private VireoCache() {}

  /** The cache directory that this process's environment names. It may not exist yet. */
  public static Path ofEnvironment() {
    return of(System.getenv(), Path.of(System.getProperty("user.home")));
  }

  static Path of(Map<String, String> environment, Path home) {
    @Nullable String named = environment.get("VIREO_CACHE_DIR");
    return named == null || named.isBlank()
        ? home.resolve(".cache/vireo")
        : Path.of(named).toAbsolutePath();
  }
}
