package dev.vireo.images.container;

import static dev.vireo.images.ImageException.Reason.IMAGE_INVALID;

import dev.vireo.images.Architecture;
import dev.vireo.images.ImageException;
import java.io.IOException;
import java.io.Reader;
import java.io.StringWriter;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Properties;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * A container image in a node's cache: a root file system, and what the image says of how to start
 * it (OCI image specification, config.md).
 *
 * @param root absolute path of a squashfs; to be mounted read-only
 * @param rootBytes its size
 * @param settings what its configuration says
 */
public record ContainerImage(ImageId id, Path root, long rootBytes, Settings settings) {

  /** The file of a root file system in an image's directory. */
  public static final String ROOT_FILE = "root.squashfs";

  private static final String PROPERTIES_FILE = "image.properties";

  /**
   * What an image's configuration says.
   *
   * @param entrypoint what is started, before any arguments; may be empty
   * @param command arguments of it unless others are given; with no entry point, the program too
   * @param environment each {@code NAME=VALUE}
   * @param user {@code user[:group]}, names or numbers; empty is root
   * @param workingDirectory absolute; empty is /
   * @param exposedPorts each {@code PORT/PROTOCOL}, sorted
   * @param stopSignal a name or number, empty for SIGTERM
   * @param created when the image was made, as it says itself
   */
  public record Settings(
      Architecture architecture,
      List<String> entrypoint,
      List<String> command,
      List<String> environment,
      String user,
      String workingDirectory,
      List<String> exposedPorts,
      String stopSignal,
      Optional<Instant> created) {
    public Settings {
      entrypoint = List.copyOf(entrypoint);
      command = List.copyOf(command);
      environment = List.copyOf(environment);
      exposedPorts = List.copyOf(exposedPorts);
    }

    /** Writes them into an image's directory. Equal settings make equal files. */
    void write(Path directory) throws IOException {
      Properties properties = new Properties();
      properties.setProperty("architecture", architecture.label());
      put(properties, "entrypoint", entrypoint);
      put(properties, "command", command);
      put(properties, "environment", environment);
      properties.setProperty("user", user);
      properties.setProperty("working_directory", workingDirectory);
      put(properties, "exposed_port", exposedPorts);
      properties.setProperty("stop_signal", stopSignal);
      created.ifPresent(time -> properties.setProperty("created", time.toString()));
      StringWriter text = new StringWriter();
      properties.store(text, null);
      // Without the comment that tells the time.
      Files.writeString(
          directory.resolve(PROPERTIES_FILE),
          text.toString()
              .lines()
              .filter(line -> !line.startsWith("#"))
              .collect(Collectors.joining("\n", "", "\n")));
    }

    private static void put(Properties properties, String key, List<String> values) {
      for (int i = 0; i < values.size(); i++) {
        properties.setProperty(key + "." + i, values.get(i));
      }
    }

    private static Settings read(Properties properties) throws ImageException {
      return new Settings(
          Architecture.labelled(properties.getProperty("architecture", ""))
              .orElseThrow(() -> new ImageException(IMAGE_INVALID, "architecture is wrong")),
          list(properties, "entrypoint"),
          list(properties, "command"),
          list(properties, "environment"),
          properties.getProperty("user", ""),
          properties.getProperty("working_directory", ""),
          list(properties, "exposed_port"),
          properties.getProperty("stop_signal", ""),
          instant(properties.getProperty("created")));
    }

    private static List<String> list(Properties properties, String key) {
      List<String> values = new ArrayList<>();
      @Nullable String value = properties.getProperty(key + ".0");
      while (value != null) {
        values.add(value);
        value = properties.getProperty(key + "." + values.size());
      }
      return values;
    }

    private static Optional<Instant> instant(@Nullable String text) throws ImageException {
      try {
        return Optional.ofNullable(text).map(Instant::parse);
      } catch (DateTimeException e) {
        throw new ImageException(IMAGE_INVALID, "created is no time: " + text, e);
      }
    }
  }

  /** When what is read of an image's directory was written. */
  static FileTime lastWritten(Path directory) throws IOException {
    return Files.getLastModifiedTime(directory.resolve(PROPERTIES_FILE));
  }

  /**
   * Reads an image's directory.
   *
   * @throws ImageException IMAGE_INVALID; its cause is an {@link IOException} if another time may
   *     do better
   */
  static ContainerImage read(ImageId id, Path directory) throws ImageException {
    Path root = directory.resolve(ROOT_FILE);
    Properties properties = new Properties();
    try (Reader in = Files.newBufferedReader(directory.resolve(PROPERTIES_FILE))) {
      properties.load(in);
      return new ContainerImage(id, root, Files.size(root), Settings.read(properties));
    } catch (NoSuchFileException | CharacterCodingException | IllegalArgumentException e) {
      throw new ImageException(
          IMAGE_INVALID,
          "the image in %s is broken: %s; vireo image prune removes it".formatted(directory, e));
    } catch (IOException e) {
      throw new ImageException(
          IMAGE_INVALID, "the image in %s cannot be read: %s".formatted(directory, e), e);
    }
  }
}
