package dev.vireo.oci;

import static dev.vireo.images.ImageException.Reason.ARCHITECTURE_MISSING;
import static dev.vireo.images.ImageException.Reason.MANIFEST_INVALID;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.vireo.images.Architecture;
import dev.vireo.images.ImageException;
import dev.vireo.images.container.ContainerImage;
import dev.vireo.images.container.ImageId;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * An image's configuration (OCI image specification, config.md; docker's is the same).
 *
 * @param id the digest of its bytes
 * @param diffIds digests of the layers' tars, from the lowest to the topmost
 */
record ImageConfig(ImageId id, ContainerImage.Settings settings, List<String> diffIds) {
  /** More bytes than any configuration has. */
  static final int MOST_BYTES = 8 << 20;

  ImageConfig {
    diffIds = List.copyOf(diffIds);
  }

  /**
   * Reads one.
   *
   * @param wanted the architecture that it must be for
   * @throws ImageException MANIFEST_INVALID, naming the field; ARCHITECTURE_MISSING
   */
  static ImageConfig parse(byte[] json, Architecture wanted) throws ImageException {
    JsonNode root = Json.parse(json, "the image's configuration");
    requirePlatform(root, wanted);
    JsonNode config = root.path("config");
    return new ImageConfig(
        ImageId.parse(Descriptor.of(json).digest()),
        new ContainerImage.Settings(
            wanted,
            texts(config, "Entrypoint"),
            texts(config, "Cmd"),
            environment(config),
            text(config, "User"),
            workingDirectory(config),
            exposedPorts(config),
            text(config, "StopSignal"),
            created(root)),
        diffIds(root));
  }

  private static void requirePlatform(JsonNode root, Architecture wanted) throws ImageException {
    String os = text(root, "os");
    String architecture = text(root, "architecture");
    // Windows' images name their layers alike.
    if (!os.equals("linux") || !architecture.equals(wanted.debianName())) {
      throw new ImageException(
          ARCHITECTURE_MISSING,
          "the image is for %s/%s, not for linux/%s; ask for --arch %s, or for another image"
              .formatted(
                  os,
                  architecture,
                  wanted.debianName(),
                  wanted == Architecture.X86_64 ? "arm64" : "x86_64"));
    }
  }

  private static List<String> environment(JsonNode config) throws ImageException {
    List<String> environment = texts(config, "Env");
    for (String variable : environment) {
      if (variable.indexOf('=') < 1) {
        throw invalid("config.Env", "has \"%s\", which is not NAME=VALUE".formatted(variable));
      }
    }
    return environment;
  }

  private static String workingDirectory(JsonNode config) throws ImageException {
    String directory = text(config, "WorkingDir");
    if (!directory.isEmpty() && !directory.startsWith("/")) {
      throw invalid("config.WorkingDir", "is not absolute: \"%s\"".formatted(directory));
    }
    return directory;
  }

  private static List<String> exposedPorts(JsonNode config) throws ImageException {
    JsonNode ports = config.path("ExposedPorts");
    if (!isAbsent(ports) && !ports.isObject()) {
      throw invalid("config.ExposedPorts", "is not an object");
    }
    List<String> exposed = new ArrayList<>();
    for (String port : (Iterable<String>) ports::fieldNames) {
      String text = checked(TextNode.valueOf(port), "config.ExposedPorts");
      exposed.add(text.contains("/") ? text : text + "/tcp");
    }
    return exposed.stream().sorted().toList();
  }

  private static Optional<Instant> created(JsonNode root) {
    try {
      return Optional.of(OffsetDateTime.parse(root.path("created").asText("")).toInstant());
    } catch (DateTimeException e) {
      // It is for people, and optional.
      return Optional.empty();
    }
  }

  private static List<String> diffIds(JsonNode root) throws ImageException {
    List<String> diffIds = texts(root.path("rootfs"), "diff_ids");
    for (String diffId : diffIds) {
      if (!ImageId.isDigest(diffId)) {
        throw invalid(
            "rootfs.diff_ids", "has \"%s\", which is no SHA-256 digest".formatted(diffId));
      }
    }
    return diffIds;
  }

  private static String text(JsonNode parent, String field) throws ImageException {
    JsonNode node = parent.path(field);
    if (isAbsent(node)) {
      return "";
    }
    return checked(node, field);
  }

  private static List<String> texts(JsonNode parent, String field) throws ImageException {
    JsonNode array = parent.path(field);
    if (isAbsent(array)) {
      return List.of();
    }
    if (!array.isArray()) {
      throw invalid(field, "is not a list");
    }
    List<String> texts = new ArrayList<>();
    for (JsonNode node : array) {
      texts.add(checked(node, field));
    }
    return texts;
  }

  private static String checked(JsonNode node, String field) throws ImageException {
    if (!node.isTextual() || !isText(node.textValue())) {
      throw invalid(field, "has what is no text: " + node);
    }
    return node.textValue();
  }

  /**
   * What a guest's init is handed ends at a NUL; and JSON can have half of a character, which
   * cannot be written.
   */
  private static boolean isText(String text) {
    return text.indexOf('\0') < 0 && UTF_8.newEncoder().canEncode(text);
  }

  private static boolean isAbsent(JsonNode node) {
    return node.isMissingNode() || node.isNull();
  }

  private static ImageException invalid(String field, String what) {
    return new ImageException(
        MANIFEST_INVALID, "the image's configuration: %s %s".formatted(field, what));
  }
}
