package dev.vireo.oci;

import com.google.cloud.tools.jib.api.Credential;
import com.google.cloud.tools.jib.registry.credentials.DockerConfigCredentialRetriever;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What {@code docker login} and {@code podman login} have noted, credential helpers among it.
 *
 * @param files looked at in this order; need not exist
 */
record Credentials(List<Path> files) {
  Credentials {
    files = List.copyOf(files);
  }

  /**
   * {@code $DOCKER_CONFIG/config.json}, and {@code $XDG_RUNTIME_DIR/containers/auth.json}.
   *
   * @param account where the user's files are if nothing else is said: in a user namespace the
   *     account is root's
   */
  static Credentials of(Map<String, String> environment, Path account) {
    Path home = Path.of(environment.getOrDefault("HOME", account.toString()));
    List<Path> files = new ArrayList<>();
    @Nullable String docker = environment.get("DOCKER_CONFIG");
    files.add((docker == null ? home.resolve(".docker") : Path.of(docker)).resolve("config.json"));
    @Nullable String runtime = environment.get("XDG_RUNTIME_DIR");
    if (runtime != null) {
      files.add(Path.of(runtime, "containers/auth.json"));
    }
    return new Credentials(files);
  }

  /**
   * Those for a registry, if there are any.
   *
   * @throws IOException if a file cannot be read, which is not the same as having none
   */
  Optional<Credential> find(String registry) throws IOException {
    for (Path file : files) {
      Optional<Credential> found =
          DockerConfigCredentialRetriever.create(registry, file).retrieve(event -> {});
      if (found.isPresent()) {
        return found;
      }
    }
    return Optional.empty();
  }
}
