package dev.vireo.oci;

import static dev.vireo.images.ImageException.Reason.ARCHITECTURE_MISSING;
import static dev.vireo.images.ImageException.Reason.MANIFEST_INVALID;

import com.fasterxml.jackson.databind.JsonNode;
import dev.vireo.images.Architecture;
import dev.vireo.images.ImageException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * What is known of an image by its name or digest: the parts of one image, or a choice of images
 * (OCI image specification, manifest.md and image-index.md; docker's schema 2 manifests and lists
 * are alike).
 */
sealed interface Manifest {
  /** More bytes than a registry takes for one (distribution specification: at least 4 MiB). */
  int MOST_BYTES = 4 << 20;

  /** How deep indexes may be in each other. */
  int MOST_NESTED = 4;

  /** One image. */
  record Single(Descriptor config, List<Descriptor> layers) implements Manifest {
    public Single {
      layers = List.copyOf(layers);
    }

    /**
     * The layers, with what the configuration says of each.
     *
     * @throws ImageException MANIFEST_INVALID if it is not of as many
     */
    List<Layer> layers(ImageConfig configuration, Function<Descriptor, Blob> blobs)
        throws ImageException {
      List<String> diffIds = configuration.diffIds();
      if (diffIds.size() != layers.size()) {
        throw new ImageException(
            MANIFEST_INVALID,
            "the manifest has %d layers, the configuration's rootfs.diff_ids %d"
                .formatted(layers.size(), diffIds.size()));
      }
      return IntStream.range(0, layers.size())
          .mapToObj(i ->
              new Layer(Optional.of(layers.get(i)), diffIds.get(i), blobs.apply(layers.get(i))))
          .toList();
    }
  }

  /** An image for each of several platforms. */
  record Index(List<Entry> entries) implements Manifest {
    public Index {
      entries = List.copyOf(entries);
    }

    /**
     * The one for Linux on an architecture. An entry that names no platform may be anything: it is
     * taken if it is the only one.
     *
     * @throws ImageException ARCHITECTURE_MISSING, naming those that there are
     */
    Descriptor choose(Architecture architecture) throws ImageException {
      String platform = "linux/" + architecture.debianName();
      for (Entry entry : entries) {
        if (entry.platform().equals(platform)) {
          return entry.manifest();
        }
      }
      if (entries.size() == 1 && entries.getFirst().platform().isEmpty()) {
        return entries.getFirst().manifest();
      }
      throw new ImageException(
          ARCHITECTURE_MISSING,
          "there is no image for %s; there are images for %s"
              .formatted(
                  platform,
                  entries.stream()
                      .map(entry -> entry.platform().isEmpty() ? "none named" : entry.platform())
                      // Attestations, of buildx.
                      .filter(name -> !name.startsWith("unknown/"))
                      .distinct()
                      .collect(Collectors.joining(", "))));
    }
  }

  /**
   * An image of an index.
   *
   * @param platform {@code os/architecture}, or empty
   * @param names that annotations give it, a whole one first; for one image
   */
  record Entry(Descriptor manifest, String platform, List<String> names) {
    public Entry {
      names = List.copyOf(names);
    }

    /** What it is called, or empty. */
    String name() {
      return names.isEmpty() ? "" : names.getFirst();
    }
  }

  /**
   * Reads either.
   *
   * @throws ImageException MANIFEST_INVALID, naming the field
   */
  static Manifest parse(byte[] json, String what) throws ImageException {
    JsonNode root = Json.parse(json, what);
    if (root.path("manifests").isArray()) {
      List<Entry> entries = new ArrayList<>();
      for (JsonNode node : root.path("manifests")) {
        entries.add(entry(node, what));
      }
      return new Index(entries);
    }
    if (!root.path("config").isObject() || !root.path("layers").isArray()) {
      throw new ImageException(
          MANIFEST_INVALID,
          "%s has neither manifests nor a config with layers (schemaVersion %s, mediaType %s)"
              .formatted(what, root.path("schemaVersion"), root.path("mediaType")));
    }
    List<Descriptor> layers = new ArrayList<>();
    for (JsonNode node : root.path("layers")) {
      layers.add(descriptor(node, what));
    }
    return new Single(descriptor(root.path("config"), what), layers);
  }

  /** Has the manifests that an index names. */
  @FunctionalInterface
  interface Store {
    /** Reads one, verified. */
    Manifest read(Descriptor descriptor) throws IOException, ImageException;
  }

  /**
   * The image for an architecture: this one, or what an index leads to.
   *
   * @throws ImageException ARCHITECTURE_MISSING, MANIFEST_INVALID
   */
  default Single follow(Architecture architecture, Store store) throws IOException, ImageException {
    Manifest manifest = this;
    for (int depth = 0; depth < MOST_NESTED; depth++) {
      switch (manifest) {
        case Single image -> {
          return image;
        }
        case Index index -> manifest = store.read(index.choose(architecture));
      }
    }
    throw new ImageException(
        MANIFEST_INVALID, "indexes are nested more than %d deep".formatted(MOST_NESTED));
  }

  private static Entry entry(JsonNode node, String what) throws ImageException {
    JsonNode platform = node.path("platform");
    JsonNode annotations = node.path("annotations");
    // containerd's is a whole name; the specification's may be a tag alone.
    List<String> names =
        Stream.of("io.containerd.image.name", "org.opencontainers.image.ref.name")
            .map(key -> annotations.path(key).asText(""))
            .filter(name -> !name.isEmpty())
            .distinct()
            .toList();
    return new Entry(
        descriptor(node, what),
        platform.isObject()
            ? platform.path("os").asText("") + "/" + platform.path("architecture").asText("")
            : "",
        names);
  }

  private static Descriptor descriptor(JsonNode node, String what) throws ImageException {
    String digest = node.path("digest").asText("");
    JsonNode size = node.path("size");
    try {
      if (size.isIntegralNumber() && size.canConvertToLong()) {
        return new Descriptor(digest, size.longValue());
      }
    } catch (IllegalArgumentException e) {
      // Told below, as a size that is none.
    }
    throw new ImageException(
        MANIFEST_INVALID,
        "%s has a descriptor whose digest must be a SHA-256 and whose size a number of bytes: %s"
            .formatted(what, node));
  }
}
