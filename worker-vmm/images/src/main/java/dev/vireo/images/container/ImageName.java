package dev.vireo.images.container;

import dev.vireo.images.ImageException;
import java.util.Optional;

/**
 * The name of a container image, as docker writes and reads it: what is left out is filled in, so
 * that {@code x} and {@code docker.io/library/x:latest} are one name (distribution/reference,
 * "ParseDockerRef"). But {@code busybox} alone is {@link BuiltIn}.
 */
public sealed interface ImageName {

  /** An image that Vireo makes itself, without a registry. */
  record BuiltIn() implements ImageName {
    /** Its name. */
    public static final String TEXT = "busybox";

    @Override
    public String toString() {
      return TEXT;
    }
  }

  /**
   * An image that a registry has, or a local one that is named like it.
   *
   * @param registry host, with a port if it was given
   * @param repository lower case, components with slashes between
   * @param tag absent only if there is a digest
   * @param digest of a manifest or index, {@code sha256:…}
   */
  record InRegistry(
      String registry, String repository, Optional<String> tag, Optional<String> digest)
      implements ImageName {
    @Override
    public String toString() {
      return registry
          + "/"
          + repository
          + tag.map(text -> ":" + text).orElse("")
          + digest.map(text -> "@" + text).orElse("");
    }
  }

  /** The registry of names that have none. */
  String DEFAULT_REGISTRY = "docker.io";

  /** The tag of names that have neither tag nor digest. */
  String DEFAULT_TAG = "latest";

  /**
   * Reads a name.
   *
   * @param text for example {@code alpine}, {@code ghcr.io/owner/name:tag}, {@code
   *     localhost:5000/x@sha256:…}
   * @throws ImageException NAME_INVALID, telling the part that is wrong
   */
  static ImageName parse(String text) throws ImageException {
    return text.equals(BuiltIn.TEXT) ? new BuiltIn() : ImageNameGrammar.parse(text);
  }
}
