package dev.vireo.cli;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.ListValue;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import com.google.protobuf.util.JsonFormat;
import dev.vireo.proto.v1.Architecture;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.apache.commons.compress.archivers.tar.TarFile;
import org.jspecify.annotations.Nullable;

/**
 * A container image that this machine has, as a tar that nodes take: what {@code docker save}
 * writes, or an OCI layout. What it is, is seen from what is in it. A directory, what is compressed
 * and what comes by standard input is written into a file first, since each node reads it.
 */
final class ImageArchive implements AutoCloseable {
  /** For standard input. */
  static final String STDIN = "-";

  /** As {@code vireo image pull} and skopeo have them; which of them it is does not matter here. */
  private static final List<String> PREFIXES = List.of("docker-archive:", "oci-archive:", "oci:");

  private static final List<String> SUFFIXES = List.of(".tar", ".tar.gz", ".tgz");
  private static final String DOCKER_MANIFEST = "manifest.json";
  private static final String OCI_INDEX = "index.json";
  private static final int MOST_JSON_BYTES = 16 << 20;

  /** An index of indexes of manifests is more than anybody writes. */
  private static final int MOST_LEVELS = 3;

  private final Path file;
  private final boolean temporary;
  private final String wanted;
  private final Map<Architecture, String> ids = new EnumMap<>(Architecture.class);
  private final String called;
  private final String stem;

  private ImageArchive(Path file, boolean temporary, String wanted, String stem) {
    this.file = file;
    this.temporary = temporary;
    this.wanted = wanted;
    this.stem = stem;
    try (TarFile tar = new TarFile(file)) {
      Map<String, TarArchiveEntry> entries = new HashMap<>();
      tar.getEntries().forEach(entry -> entries.put(normal(entry.getName()), entry));
      Contents contents = new Contents(tar, entries);
      if (entries.containsKey(DOCKER_MANIFEST)) {
        called = readDocker(contents);
      } else if (entries.containsKey(OCI_INDEX)) {
        called = readLayout(contents);
      } else {
        throw noImage(
            "it has neither docker save's %s nor an OCI layout's %s"
                .formatted(DOCKER_MANIFEST, OCI_INDEX));
      }
    } catch (IOException | IllegalArgumentException e) {
      throw noImage(String.valueOf(e.getMessage()));
    }
  }

  /** Whether what is given as an image is a file, and not a name. */
  static boolean isOne(String image) {
    return PREFIXES.stream().anyMatch(image::startsWith)
        || Stream.of("/", "./", "../").anyMatch(image::startsWith)
        || (SUFFIXES.stream().anyMatch(image::endsWith) && Files.isRegularFile(Path.of(image)));
  }

  /**
   * Opens one.
   *
   * @param source a file or directory, with {@code :IMAGE} behind it if there are several in it, or
   *     {@link #STDIN}
   */
  static ImageArchive open(String source, InputStream stdin, Cleanup cleanup) {
    String text = source;
    for (String prefix : PREFIXES) {
      text = text.startsWith(prefix) ? text.substring(prefix.length()) : text;
    }
    try {
      if (text.equals(STDIN)) {
        return temporary(out -> unpacked(stdin).transferTo(out), "", "image", cleanup);
      }
      Path path = Path.of(text);
      String image = "";
      int colon = text.indexOf(':');
      while (!Files.exists(path) && colon > 0) {
        path = Path.of(text.substring(0, colon));
        image = text.substring(colon + 1);
        colon = text.indexOf(':', colon + 1);
      }
      if (!Files.exists(path)) {
        throw failed(source + " does not exist");
      }
      return of(path, image, cleanup);
    } catch (InvalidPathException e) {
      throw failed(source + " is no path");
    } catch (IOException e) {
      throw failed("cannot read %s: %s".formatted(source, e.getMessage()));
    }
  }

  private static ImageArchive of(Path path, String image, Cleanup cleanup) throws IOException {
    String stem = stem(path);
    if (Files.isDirectory(path)) {
      return temporary(out -> pack(path, out), image, stem, cleanup);
    }
    if (isCompressed(path)) {
      return temporary(
          out -> {
            try (InputStream in = Files.newInputStream(path)) {
              unpacked(in).transferTo(out);
            }
          },
          image,
          stem,
          cleanup);
    }
    return new ImageArchive(path, false, image, stem);
  }

  @FunctionalInterface
  private interface Writer {
    void writeTo(OutputStream out) throws IOException;
  }

  private static ImageArchive temporary(Writer writer, String image, String stem, Cleanup cleanup)
      throws IOException {
    Path file = Files.createTempFile("vireo-image", ".tar");
    cleanup.add(() -> Files.deleteIfExists(file));
    try (OutputStream out = Files.newOutputStream(file)) {
      writer.writeTo(out);
    }
    return new ImageArchive(file, true, image, stem);
  }

  private static boolean isCompressed(Path file) throws IOException {
    try (InputStream in = Files.newInputStream(file)) {
      return isGzip(in.readNBytes(2));
    }
  }

  private static boolean isGzip(byte[] magic) {
    return magic.length == 2 && (magic[0] & 0xff) == 0x1f && (magic[1] & 0xff) == 0x8b;
  }

  private static InputStream unpacked(InputStream in) throws IOException {
    BufferedInputStream buffered = new BufferedInputStream(in);
    buffered.mark(2);
    boolean gzip = isGzip(buffered.readNBytes(2));
    buffered.reset();
    return gzip ? new GZIPInputStream(buffered) : buffered;
  }

  /** The files that an OCI layout has, and nothing else that is there. */
  private static void pack(Path directory, OutputStream out) throws IOException {
    try (TarArchiveOutputStream tar = new TarArchiveOutputStream(out);
        Stream<Path> files = Files.walk(directory)) {
      tar.setBigNumberMode(TarArchiveOutputStream.BIGNUMBER_POSIX);
      tar.setLongFileMode(TarArchiveOutputStream.LONGFILE_POSIX);
      for (Path file : files.filter(Files::isRegularFile).sorted().toList()) {
        String name = directory.relativize(file).toString();
        TarArchiveEntry entry = new TarArchiveEntry(name);
        entry.setSize(Files.size(file));
        tar.putArchiveEntry(entry);
        Files.copy(file, tar);
        tar.closeArchiveEntry();
      }
    }
  }

  private static String stem(Path path) {
    Path last = path.toAbsolutePath().normalize().getFileName();
    String stem = (last == null ? "" : last.toString()).replaceFirst("\\.(tar|tar\\.gz|tgz)$", "");
    String name =
        stem.toLowerCase(java.util.Locale.ROOT)
            .replaceAll("[^a-z0-9]+", "-")
            .replaceAll("^-+|-+$", "");
    return name.isEmpty() ? "image" : name;
  }

  /** To be read by whoever sends it. */
  Path file() {
    return file;
  }

  long bytes() {
    try {
      return Files.size(file);
    } catch (IOException e) {
      throw failed("cannot read %s: %s".formatted(file, e));
    }
  }

  /** Which of its images is meant; empty: the only one. */
  String wanted() {
    return wanted;
  }

  /** What the archive calls it; empty if it does not say. */
  String called() {
    return called;
  }

  /** A name for one that has none, by the file's. */
  String nameByFile() {
    return "localhost/" + stem;
  }

  /** The image's ID for each architecture that there is one for. */
  Map<Architecture, String> ids() {
    return Map.copyOf(ids);
  }

  @Override
  public void close() {
    try {
      if (temporary) {
        Files.deleteIfExists(file);
      }
    } catch (IOException e) {
      throw failed("cannot remove %s: %s".formatted(file, e));
    }
  }

  // ---- what is in it

  private record Contents(TarFile tar, Map<String, TarArchiveEntry> entries) {
    byte[] read(String name) throws IOException {
      @Nullable TarArchiveEntry entry = entries.get(normal(name));
      if (entry == null || !entry.isFile()) {
        throw new IOException("it is not complete: it has no file " + name);
      }
      try (InputStream in = tar.getInputStream(entry)) {
        return in.readNBytes(MOST_JSON_BYTES);
      }
    }

    Value json(String name) throws IOException {
      return parse(read(name), name);
    }
  }

  private static String normal(String name) {
    return name.startsWith("./") ? name.substring(2) : name;
  }

  private static Value parse(byte[] json, String name) throws IOException {
    Value.Builder value = Value.newBuilder();
    try {
      JsonFormat.parser().merge(new String(json, StandardCharsets.UTF_8), value);
    } catch (InvalidProtocolBufferException e) {
      throw new IOException("%s is no JSON".formatted(name), e);
    }
    return value.build();
  }

  private String readDocker(Contents contents) throws IOException {
    List<String> tags = new ArrayList<>();
    List<Struct> matching = new ArrayList<>();
    for (Value image : contents.json(DOCKER_MANIFEST).getListValue().getValuesList()) {
      List<String> own = texts(field(image.getStructValue(), "RepoTags").getListValue());
      tags.addAll(own);
      if (wanted.isEmpty() || own.contains(wanted)) {
        matching.add(image.getStructValue());
      }
    }
    if (matching.size() != 1) {
      throw choose(tags);
    }
    String config = field(matching.getFirst(), "Config").getStringValue();
    byte[] json = contents.read(config);
    put(parse(json, config).getStructValue(), "sha256:" + HexFormat.of().formatHex(sha256(json)));
    return wanted.isEmpty()
        ? texts(field(matching.getFirst(), "RepoTags").getListValue()).stream()
            .findFirst()
            .orElse("")
        : wanted;
  }

  private String readLayout(Contents contents) throws IOException {
    List<Struct> all = manifests(contents.json(OCI_INDEX).getStructValue());
    List<String> names =
        all.stream()
            .map(ImageArchive::annotation)
            .filter(name -> !name.isEmpty())
            .distinct()
            .toList();
    if (wanted.isEmpty() ? names.size() > 1 : !names.contains(wanted)) {
      throw choose(names);
    }
    for (Struct entry : all) {
      if (wanted.isEmpty() || annotation(entry).equals(wanted)) {
        follow(contents, entry, 1);
      }
    }
    if (ids.isEmpty()) {
      throw new IOException("it has no image for Linux on x86_64 or arm64");
    }
    String name = wanted.isEmpty() ? names.stream().findFirst().orElse("") : wanted;
    // A tag alone names nothing elsewhere.
    return name.contains("/") || name.contains(":") ? name : "";
  }

  private void follow(Contents contents, Struct entry, int level) throws IOException {
    Struct platform = field(entry, "platform").getStructValue();
    String architecture = field(platform, "architecture").getStringValue();
    if (level > MOST_LEVELS || (!architecture.isEmpty() && architecture(architecture).isEmpty())) {
      return;
    }
    Struct manifest = contents.json(blob(entry)).getStructValue();
    for (Struct child : manifests(manifest)) {
      follow(contents, child, level + 1);
    }
    if (manifest.containsFields("config")) {
      Struct config = field(manifest, "config").getStructValue();
      put(contents.json(blob(config)).getStructValue(), field(config, "digest").getStringValue());
    }
  }

  private static List<Struct> manifests(Struct index) {
    return field(index, "manifests").getListValue().getValuesList().stream()
        .map(Value::getStructValue)
        .toList();
  }

  private static String annotation(Struct entry) {
    return field(field(entry, "annotations").getStructValue(), "org.opencontainers.image.ref.name")
        .getStringValue();
  }

  private static String blob(Struct descriptor) {
    return "blobs/" + field(descriptor, "digest").getStringValue().replace(':', '/');
  }

  private void put(Struct config, String id) {
    architecture(field(config, "architecture").getStringValue())
        .ifPresent(architecture -> ids.putIfAbsent(architecture, id));
  }

  /** As images name it. */
  private static Optional<Architecture> architecture(String name) {
    return switch (name) {
      case "amd64" -> Optional.of(Architecture.X86_64);
      case "arm64" -> Optional.of(Architecture.ARM64);
      default -> Optional.empty();
    };
  }

  private static Value field(Struct object, String name) {
    return object.getFieldsOrDefault(name, Value.getDefaultInstance());
  }

  private static List<String> texts(ListValue list) {
    return list.getValuesList().stream().map(Value::getStringValue).toList();
  }

  private static byte[] sha256(byte[] content) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(content);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JDK has it", e);
    }
  }

  private IOException choose(List<String> names) {
    return new IOException(
        wanted.isEmpty()
            ? "it has several images: append :NAME with one of " + names
            : "it has no image %s; it has %s".formatted(wanted, names));
  }

  private CommandException noImage(String why) {
    return new CommandException(
        ExitCode.FAILED,
        "%s is no container image: %s".formatted(file, why),
        "Give it what docker save writes, or an OCI layout, as a directory or a tar.");
  }

  private static CommandException failed(String problem) {
    return new CommandException(ExitCode.FAILED, problem, "");
  }
}
