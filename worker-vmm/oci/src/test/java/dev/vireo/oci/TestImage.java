package dev.vireo.oci;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;

/**
 * An image that a test makes up, as an OCI layout or as {@code docker save} writes it. Its blobs
 * can be spoiled before it is written.
 */
final class TestImage {
  static final String MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
  static final String INDEX_TYPE = "application/vnd.oci.image.index.v1+json";

  private final List<byte[]> tars;
  private final List<byte[]> layers;
  private final byte[] config;
  private final byte[] manifest;
  private final Map<String, byte[]> blobs = new TreeMap<>();

  private TestImage(
      List<byte[]> tars, UnaryOperator<byte[]> compression, Map<String, Object> config) {
    this.tars = tars;
    this.layers = tars.stream().map(compression).toList();
    Map<String, Object> whole = new TreeMap<>(config);
    whole.put(
        "rootfs",
        Map.of("type", "layers", "diff_ids", tars.stream().map(TestImage::digest).toList()));
    this.config = withEscapes(Json.write(whole)).getBytes(UTF_8);
    List<Object> descriptors = new ArrayList<>();
    layers.forEach(
        layer -> descriptors.add(descriptor(layer, "application/vnd.oci.image.layer.v1.tar+gzip")));
    this.manifest =
        Json.write(
                Map.of(
                    "schemaVersion",
                    2,
                    "mediaType",
                    MANIFEST_TYPE,
                    "config",
                    descriptor(this.config, "application/vnd.oci.image.config.v1+json"),
                    "layers",
                    descriptors))
            .getBytes(UTF_8);
    layers.forEach(layer -> blobs.put(digest(layer), layer));
    blobs.put(digest(this.config), this.config);
    blobs.put(digest(manifest), manifest);
  }

  /** Halves of characters, which have no bytes, as JSON may have them. */
  private static String withEscapes(String json) {
    return Pattern.compile("\\p{Cs}")
        .matcher(json)
        .replaceAll(half -> "\\\\u%04x".formatted((int) half.group().charAt(0)));
  }

  /** For amd64, its layers by gzip, from the lowest. */
  static TestImage of(Tar... layers) {
    return of(Tar::gzip, layers);
  }

  static TestImage of(UnaryOperator<byte[]> compression, Tar... layers) {
    return of(config("amd64", Map.of()), compression, layers);
  }

  static TestImage of(
      Map<String, Object> config, UnaryOperator<byte[]> compression, Tar... layers) {
    return new TestImage(Arrays.stream(layers).map(Tar::bytes).toList(), compression, config);
  }

  static Map<String, Object> config(String architecture, Map<String, Object> settings) {
    return Map.of(
        "architecture",
        architecture,
        "os",
        "linux",
        "created",
        "2026-01-02T03:04:05.678+01:00",
        "config",
        settings);
  }

  static String digest(byte[] content) {
    return Descriptor.of(content).digest();
  }

  static Map<String, Object> descriptor(byte[] content, String type) {
    return new LinkedHashMap<>(
        Map.of("mediaType", type, "digest", digest(content), "size", content.length));
  }

  String id() {
    return digest(config);
  }

  byte[] manifest() {
    return manifest;
  }

  byte[] configuration() {
    return config;
  }

  /** The layer's blob, from 0. */
  byte[] layer(int number) {
    return layers.get(number);
  }

  /** All that a registry has of it, by digest. */
  Map<String, byte[]> blobs() {
    return blobs;
  }

  /** Other bytes under the name of a layer's blob. */
  TestImage spoil(int layer, UnaryOperator<byte[]> change) {
    return spoil(digest(layers.get(layer)), change);
  }

  TestImage spoil(String digest, UnaryOperator<byte[]> change) {
    blobs.computeIfPresent(digest, (key, content) -> change.apply(content.clone()));
    return this;
  }

  /** The files of an OCI layout. */
  Map<String, byte[]> layout(Map<String, String> annotations) {
    Map<String, Object> entry = descriptor(manifest, MANIFEST_TYPE);
    entry.put("annotations", annotations);
    return layout(List.of(entry));
  }

  Map<String, byte[]> layout(List<Object> entries) {
    Map<String, byte[]> files = new TreeMap<>();
    files.put("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}".getBytes(UTF_8));
    files.put(
        "index.json", Json.write(Map.of("schemaVersion", 2, "manifests", entries)).getBytes(UTF_8));
    blobs.forEach((digest, content) -> files.put("blobs/" + digest.replace(':', '/'), content));
    return files;
  }

  /** The files that older dockers save. */
  Map<String, byte[]> dockerArchive(String... tags) {
    Map<String, byte[]> files = new TreeMap<>();
    List<String> names = IntStream.range(0, tars.size()).mapToObj(i -> i + "/layer.tar").toList();
    String configName = digest(config).substring("sha256:".length()) + ".json";
    for (int i = 0; i < tars.size(); i++) {
      files.put(names.get(i), tars.get(i));
    }
    files.put(configName, config);
    files.put(
        "manifest.json",
        Json.write(
                List.of(Map.of("Config", configName, "RepoTags", List.of(tags), "Layers", names)))
            .getBytes(UTF_8));
    return files;
  }

  /** The files that newer dockers save. */
  Map<String, byte[]> newDockerArchive(String tag) {
    Map<String, byte[]> files = layout(Map.of("io.containerd.image.name", tag));
    files.put(
        "manifest.json",
        Json.write(
                List.of(
                    Map.of(
                        "Config",
                        "blobs/" + digest(config).replace(':', '/'),
                        "RepoTags",
                        List.of(tag),
                        "Layers",
                        layers.stream()
                            .map(layer -> "blobs/" + digest(layer).replace(':', '/'))
                            .toList())))
            .getBytes(UTF_8));
    return files;
  }

  static Path writeDirectory(Path directory, Map<String, byte[]> files) throws IOException {
    for (Map.Entry<String, byte[]> file : files.entrySet()) {
      Path path = directory.resolve(file.getKey());
      Files.createDirectories(path.getParent());
      Files.write(path, file.getValue());
    }
    return directory;
  }

  static Path writeTar(Path file, Map<String, byte[]> files) throws IOException {
    try (TarArchiveOutputStream tar = new TarArchiveOutputStream(Files.newOutputStream(file))) {
      tar.setLongFileMode(TarArchiveOutputStream.LONGFILE_POSIX);
      for (Map.Entry<String, byte[]> entry : files.entrySet()) {
        TarArchiveEntry header = new TarArchiveEntry(entry.getKey());
        header.setSize(entry.getValue().length);
        tar.putArchiveEntry(header);
        tar.write(entry.getValue());
        tar.closeArchiveEntry();
      }
    }
    return file;
  }
}
