package dev.vireo.oci;

import static dev.vireo.images.ImageException.Reason.IMAGE_UNKNOWN;
import static dev.vireo.images.ImageException.Reason.MANIFEST_INVALID;

import com.fasterxml.jackson.databind.JsonNode;
import dev.vireo.images.Architecture;
import dev.vireo.images.ImageException;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What {@code docker save} writes: a tar with a {@code manifest.json}, which names the
 * configuration and the layers by file. The names are {@code ID/layer.tar} of older dockers, and
 * blobs of an OCI layout of newer ones. Digests of layers are those in the configuration.
 */
final class DockerArchiveSource implements ImageSource {
  private static final String MANIFEST = "manifest.json";
  private static final Pattern CONFIG_NAME =
      Pattern.compile("(?:blobs/sha256/)?([0-9a-f]{64})(?:\\.json)?");

  private final FileSet files;
  private final Optional<String> wanted;

  /**
   * @param wanted which image, if there are several: one of its tags
   */
  DockerArchiveSource(FileSet files, Optional<String> wanted) {
    this.files = files;
    this.wanted = wanted;
  }

  @Override
  public SourceImage resolve(Architecture architecture) throws IOException, ImageException {
    JsonNode image = choose(Json.parse(read(MANIFEST, Manifest.MOST_BYTES), MANIFEST));
    String configName = image.path("Config").asText("");
    byte[] json = read(configName, ImageConfig.MOST_BYTES);
    Matcher named = CONFIG_NAME.matcher(configName);
    if (named.matches()) {
      new Descriptor("sha256:" + named.group(1), json.length)
          .requireEqual(Descriptor.of(json).digest(), "the image's configuration");
    }
    ImageConfig config = ImageConfig.parse(json, architecture);
    List<String> tags = texts(image.path("RepoTags"));
    Optional<String> tag = wanted.or(() -> tags.stream().findFirst());
    return new SourceImage(
        config, layers(config, texts(image.path("Layers"))), tag.flatMap(Sources::nameIn));
  }

  private JsonNode choose(JsonNode images) throws ImageException {
    List<String> tags = new ArrayList<>();
    for (JsonNode image : images) {
      List<String> names = texts(image.path("RepoTags"));
      if (wanted.isEmpty() ? images.size() == 1 : names.contains(wanted.get())) {
        return image;
      }
      tags.addAll(names);
    }
    throw new ImageException(
        IMAGE_UNKNOWN,
        wanted
            .map(name -> "there is no image %s; there are: %s".formatted(name, tags))
            .orElseGet(() -> "there are several images: append :NAME with one of " + tags));
  }

  private List<Layer> layers(ImageConfig config, List<String> names)
      throws IOException, ImageException {
    if (names.size() != config.diffIds().size()) {
      throw new ImageException(
          MANIFEST_INVALID,
          "%s has %d layers, the configuration's rootfs.diff_ids %d"
              .formatted(MANIFEST, names.size(), config.diffIds().size()));
    }
    List<Layer> layers = new ArrayList<>();
    for (int i = 0; i < names.size(); i++) {
      layers.add(new Layer(Optional.empty(), config.diffIds().get(i), find(names.get(i))));
    }
    return layers;
  }

  private byte[] read(String name, int mostBytes) throws IOException, ImageException {
    try (InputStream in = find(name).open()) {
      return in.readNBytes(mostBytes);
    }
  }

  private Blob find(String name) throws IOException, ImageException {
    return files
        .find(name)
        .orElseThrow(() ->
            new ImageException(
                MANIFEST_INVALID,
                "the archive is not complete, or not of docker save: it has no file \"%s\""
                    .formatted(name)));
  }

  private static List<String> texts(JsonNode array) {
    List<String> texts = new ArrayList<>();
    array.forEach(node -> texts.add(node.asText("")));
    return texts;
  }

  @Override
  public void close() throws IOException {
    files.close();
  }
}
