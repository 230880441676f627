package dev.vireo.images;

import static dev.vireo.images.ImageException.Reason.IMAGE_INVALID;
import static java.util.stream.Collectors.joining;

import java.io.IOException;
import java.io.Reader;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Properties;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.regex.Pattern;

/**
 * What a microVM boots: a kernel with, optionally, an initramfs and a root disk, and what has to be
 * known to boot it. All files are beside each other in the image's directory.
 *
 * @param name the image's name, also that of its directory
 * @param directory absolute
 * @param architecture that the kernel is built for
 * @param guestKind what the guest asks of KVM
 * @param announcements that the kernel understands, the preferred one first; never empty
 * @param minMemoryMib the least guest memory that it can boot in, MiB
 * @param kernel absolute path of a bzImage, ELF or arm64 Image
 * @param initramfs absolute path of a cpio archive
 * @param rootDisk absolute path of a raw ext4 file system, a multiple of 512 bytes; a template:
 *     copy it before a guest writes to it
 * @param agentInitramfs absolute path of a cpio archive, with the guest's agent as its init, for
 *     guests whose root file system comes otherwise
 * @param writableDisk absolute path of a small ext4 file system, the template of containers'
 *     writable layers: the agent grows each to its disk
 * @param commandLine arguments that go before the user's; may be empty
 */
public record GuestImage(
    String name,
    Path directory,
    Architecture architecture,
    GuestKind guestKind,
    List<DeviceAnnouncement> announcements,
    int minMemoryMib,
    Path kernel,
    Optional<Path> initramfs,
    Optional<Path> rootDisk,
    Optional<Path> agentInitramfs,
    Optional<Path> writableDisk,
    String commandLine) {

  /** The file that describes an image directory, in the format of {@link Properties}. */
  public static final String PROPERTIES_FILE = "image.properties";

  private static final Pattern NAME = Pattern.compile("[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?");

  public GuestImage {
    announcements = List.copyOf(announcements);
  }

  /** Whether this can be an image's name. A path never can. */
  public static boolean isName(String text) {
    return NAME.matcher(text).matches() && !text.contains("..");
  }

  /**
   * Reads and checks an image directory.
   *
   * @throws ImageException IMAGE_INVALID, naming the property or file that is wrong
   */
  public static GuestImage read(Path directory) throws ImageException {
    return new PropertiesReader(directory.toAbsolutePath().normalize()).image();
  }

  /**
   * Writes {@value #PROPERTIES_FILE} into {@link #directory}. Keys are sorted, so equal images have
   * equal files.
   *
   * @param provenance what it was built from, for people
   */
  void writeProperties(String provenance) throws IOException {
    TreeMap<String, String> properties = new TreeMap<>();
    properties.put("name", name);
    properties.put("architecture", architecture.label());
    properties.put("guest_kind", guestKind.label());
    properties.put(
        "announcements",
        announcements.stream().map(DeviceAnnouncement::label).collect(joining(",")));
    properties.put("min_memory_mib", Integer.toString(minMemoryMib));
    properties.put("kernel", fileName(kernel));
    initramfs.ifPresent(file -> properties.put("initramfs", fileName(file)));
    rootDisk.ifPresent(file -> properties.put("root_disk", fileName(file)));
    agentInitramfs.ifPresent(file -> properties.put("agent_initramfs", fileName(file)));
    writableDisk.ifPresent(file -> properties.put("writable_disk", fileName(file)));
    properties.put("command_line", commandLine);
    try (Writer out = Files.newBufferedWriter(directory.resolve(PROPERTIES_FILE))) {
      out.write("# " + provenance + "\n");
      for (var property : properties.entrySet()) {
        out.write(property.getKey() + "=" + property.getValue().replace("\\", "\\\\") + "\n");
      }
    }
  }

  private static String fileName(Path file) {
    return String.valueOf(file.getFileName());
  }

  /** Parses and checks one image directory. */
  private record PropertiesReader(Path directory, Properties properties) {
    PropertiesReader(Path directory) throws ImageException {
      this(directory, load(directory));
    }

    private static Properties load(Path directory) throws ImageException {
      Path file = directory.resolve(PROPERTIES_FILE);
      Properties properties = new Properties();
      try (Reader in = Files.newBufferedReader(file, StandardCharsets.UTF_8)) {
        properties.load(in);
      } catch (IOException | IllegalArgumentException e) {
        throw new ImageException(IMAGE_INVALID, "cannot read " + file + ": " + e, e);
      }
      return properties;
    }

    GuestImage image() throws ImageException {
      String name = required("name");
      if (!isName(name) || !name.equals(fileName(directory))) {
        throw invalid("name", "must be that of the directory and match " + NAME);
      }
      return new GuestImage(
          name,
          directory,
          label(
              "architecture", required("architecture"), Architecture.values(), Architecture::label),
          label("guest_kind", required("guest_kind"), GuestKind.values(), GuestKind::label),
          announcements(),
          minMemoryMib(),
          file("kernel").orElseThrow(() -> invalid("kernel", "is missing")),
          file("initramfs"),
          file("root_disk"),
          file("agent_initramfs"),
          file("writable_disk"),
          properties.getProperty("command_line", "").strip());
    }

    private List<DeviceAnnouncement> announcements() throws ImageException {
      List<DeviceAnnouncement> announcements = new ArrayList<>();
      for (String label : required("announcements").split(",", -1)) {
        announcements.add(
            label(
                "announcements",
                label.strip(),
                DeviceAnnouncement.values(),
                DeviceAnnouncement::label));
      }
      return announcements;
    }

    private int minMemoryMib() throws ImageException {
      String text = required("min_memory_mib");
      try {
        int mib = Integer.parseInt(text);
        if (mib > 0) {
          return mib;
        }
      } catch (NumberFormatException e) {
        // Told below, as any other value out of range.
      }
      throw invalid("min_memory_mib", "must be a positive whole number, not \"" + text + "\"");
    }

    private Optional<Path> file(String key) throws ImageException {
      String fileName = properties.getProperty(key, "").strip();
      if (fileName.isEmpty()) {
        return Optional.empty();
      }
      Path file = directory.resolve(fileName).normalize();
      if (!directory.equals(file.getParent())) {
        throw invalid(key, "must be a file name without a path, not \"" + fileName + "\"");
      }
      if (!Files.isRegularFile(file)) {
        throw invalid(key, "names a file that does not exist: " + file);
      }
      return Optional.of(file);
    }

    private String required(String key) throws ImageException {
      String value = properties.getProperty(key, "").strip();
      if (value.isEmpty()) {
        throw invalid(key, "is missing");
      }
      return value;
    }

    private <E extends Enum<E>> E label(
        String key, String text, E[] values, Function<E, String> labelOf) throws ImageException {
      return Arrays.stream(values)
          .filter(value -> labelOf.apply(value).equals(text))
          .findFirst()
          .orElseThrow(() ->
              invalid(
                  key,
                  "must be one of %s, not \"%s\""
                      .formatted(Arrays.stream(values).map(labelOf).toList(), text)));
    }

    private ImageException invalid(String key, String what) {
      return new ImageException(
          IMAGE_INVALID, "%s: %s %s".formatted(directory.resolve(PROPERTIES_FILE), key, what));
    }
  }
}
