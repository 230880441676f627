package dev.vireo.oci;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.images.Architecture;
import dev.vireo.images.ImageException;
import dev.vireo.images.ImageException.Reason;
import dev.vireo.images.container.ImageName;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Images on this machine's disk: which is meant, and what is wrong with those that are not whole.
 */
class SourcesTest {
  @TempDir private Path directory = Path.of("");

  private final TestImage image = TestImage.of(new Tar().file("a", "1"), new Tar().file("b", "2"));

  @Test
  void aLayoutIsADirectoryOrATar() throws Exception {
    Map<String, byte[]> files =
        image.layout(Map.of("org.opencontainers.image.ref.name", "example.org/a:b"));
    TestImage.writeDirectory(directory.resolve("layout"), files);
    TestImage.writeTar(directory.resolve("layout.tar"), files);

    for (String source : List.of("oci:layout", "oci-archive:layout.tar")) {
      SourceImage found = resolve(source);
      assertEquals(image.id(), found.config().id().toString());
      assertEquals(Optional.of(ImageName.parse("example.org/a:b")), found.name());
    }
  }

  @Test
  void dockerSavesOldAndNew() throws Exception {
    TestImage.writeTar(directory.resolve("old.tar"), image.dockerArchive("x:1", "x:2"));
    TestImage.writeTar(
        directory.resolve("new.tar"), image.newDockerArchive("docker.io/library/x:1"));

    for (String source : List.of("docker-archive:old.tar", "docker-archive:new.tar")) {
      SourceImage found = resolve(source);
      assertEquals(image.id(), found.config().id().toString());
      assertEquals("Optional[docker.io/library/x:1]", found.name().toString());
      assertEquals(2, found.layers().size());
    }
    assertEquals(
        "Optional[docker.io/library/x:2]", resolve("docker-archive:old.tar:x:2").name().toString());
  }

  @Test
  void noArchiveHasVireosOwnName() throws Exception {
    TestImage.writeTar(directory.resolve("saved.tar"), image.dockerArchive("busybox"));
    TestImage.writeDirectory(
        directory.resolve("layout"), image.layout(Map.of("io.containerd.image.name", "busybox")));

    for (String source :
        List.of("docker-archive:saved.tar", "docker-archive:saved.tar:busybox", "oci:layout")) {
      assertEquals(Optional.empty(), resolve(source).name());
    }
  }

  @Test
  void anEntryOfALayoutMayHaveTwoNames() throws Exception {
    TestImage.writeDirectory(
        directory.resolve("layout"),
        image.layout(
            Map.of(
                "io.containerd.image.name",
                "docker.io/library/x:latest",
                "org.opencontainers.image.ref.name",
                "latest")));

    for (String source :
        List.of("oci:layout", "oci:layout:latest", "oci:layout:docker.io/library/x:latest")) {
      assertEquals(
          "Optional[docker.io/library/x:latest]", resolve(source).name().toString(), source);
    }
    assertRefused(
        "oci:layout:other",
        Reason.IMAGE_UNKNOWN,
        "there is no image other; there are: [docker.io/library/x:latest]");
  }

  @Test
  void aTagThatSeveralImagesHaveNamesNoneOfThem() throws Exception {
    TestImage other =
        TestImage.of(TestImage.config("arm64", Map.of()), Tar::gzip, new Tar().file("arm", ""));
    image.blobs().putAll(other.blobs());
    Map<String, Object> a = named(entry(image, "amd64"), "docker.io/library/a:latest", "latest");
    Map<String, Object> b = named(entry(other, "arm64"), "docker.io/library/b:latest", "latest");
    TestImage.writeDirectory(directory.resolve("two"), image.layout(List.of(a, b)));
    Map<String, Object> c = entry(image, "amd64");
    c.put("annotations", Map.of("org.opencontainers.image.ref.name", "latest"));
    TestImage.writeDirectory(directory.resolve("three"), image.layout(List.of(b, c)));

    ImageException refusal =
        assertThrows(ImageException.class, () -> resolve("oci:two:latest", Architecture.ARM64));
    assertEquals(
        "there are several images: append one of :docker.io/library/a:latest"
            + " :docker.io/library/b:latest",
        refusal.getMessage());
    assertEquals(
        other.id(),
        resolve("oci:two:docker.io/library/b:latest", Architecture.ARM64).config().id().toString());
    assertEquals(image.id(), resolve("oci:three:latest").config().id().toString());
    assertThrows(ImageException.class, () -> resolve("oci:three:latest", Architecture.ARM64));
  }

  @Test
  void ofSeveralArchitecturesTheOneIsTakenThatIsAskedFor() throws Exception {
    TestImage arm =
        TestImage.of(TestImage.config("arm64", Map.of()), Tar::gzip, new Tar().file("arm", ""));
    byte[] index =
        Json.write(
                Map.of(
                    "manifests",
                    List.of(entry(image, "unknown"), entry(image, "amd64"), entry(arm, "arm64"))))
            .getBytes(UTF_8);
    image.blobs().putAll(arm.blobs());
    image.blobs().put(TestImage.digest(index), index);
    TestImage.writeDirectory(
        directory.resolve("layout"),
        image.layout(List.of(TestImage.descriptor(index, TestImage.INDEX_TYPE))));

    assertEquals(image.id(), resolve("oci:layout").config().id().toString());
    assertEquals(arm.id(), resolve("oci:layout", Architecture.ARM64).config().id().toString());
  }

  @Test
  void anArchitectureThatThereIsNotIsMissed() throws Exception {
    TestImage.writeDirectory(
        directory.resolve("layout"),
        image.layout(List.of(entry(image, "s390x"), entry(image, "riscv64"))));

    assertRefused(
        "oci:layout",
        Reason.ARCHITECTURE_MISSING,
        "there is no image for linux/amd64; there are images for linux/s390x, linux/riscv64");
  }

  @Test
  void ofSeveralImagesOneMustBeNamed() throws Exception {
    Map<String, Object> one = entry(image, "amd64");
    one.put("annotations", Map.of("org.opencontainers.image.ref.name", "one"));
    Map<String, Object> two = entry(image, "amd64");
    two.put("annotations", Map.of("org.opencontainers.image.ref.name", "two"));
    TestImage.writeDirectory(directory.resolve("layout"), image.layout(List.of(one, two)));

    assertEquals(image.id(), resolve("oci:layout:two").config().id().toString());
    assertRefused(
        "oci:layout", Reason.IMAGE_UNKNOWN, "there are several images: append one of :one :two");
    assertRefused(
        "oci:layout:three", Reason.IMAGE_UNKNOWN, "there is no image three; there are: [one, two]");
  }

  @Test
  void whatIsNoLayoutIsRefused() throws Exception {
    Files.createDirectories(directory.resolve("empty"));
    Files.writeString(directory.resolve("text"), "no tar".repeat(200));
    TestImage.writeTar(directory.resolve("other.tar"), Map.of("file", new byte[1]));

    assertRefused("oci:none", Reason.IMAGE_UNKNOWN, "there is no file none");
    assertRefused(
        "oci:empty", Reason.MANIFEST_INVALID, "this is no OCI layout: it has no index.json");
    assertRefused(
        "docker-archive:other.tar",
        Reason.MANIFEST_INVALID,
        "the archive is not complete, or not of docker save: it has no file \"manifest.json\"");
    var refusal = assertThrows(ImageException.class, () -> resolve("oci-archive:text"));
    assertTrue(
        String.valueOf(refusal.getMessage())
            .endsWith("one that is compressed must be unpacked by gunzip first"),
        refusal::getMessage);
  }

  @Test
  void aLayoutIsWholeBeforeItIsRead() throws Exception {
    image.blobs().remove(TestImage.digest(image.layer(1)));
    TestImage.writeDirectory(directory.resolve("layout"), image.layout(Map.of()));

    assertRefused(
        "oci:layout",
        Reason.MANIFEST_INVALID,
        "the layout is not complete: it has no blobs/"
            + TestImage.digest(image.layer(1)).replace(':', '/'));
  }

  @Test
  void aManifestAndAConfigurationAreVerified() throws Exception {
    String manifest = TestImage.digest(image.manifest());
    image.spoil(manifest, content -> " ".repeat(content.length).getBytes(UTF_8));
    TestImage.writeDirectory(directory.resolve("layout"), image.layout(Map.of()));
    Map<String, byte[]> saved = new LinkedHashMap<>(image.dockerArchive("x"));
    String config = image.id().substring("sha256:".length()) + ".json";
    saved.put(config, "{\"os\": \"linux\"}".getBytes(UTF_8));
    TestImage.writeTar(directory.resolve("saved.tar"), saved);

    assertEquals(Reason.DIGEST_MISMATCH, refusal("oci:layout").reason());
    assertEquals(Reason.DIGEST_MISMATCH, refusal("docker-archive:saved.tar").reason());
  }

  @Test
  void numbersOfLayersMustAgree() throws Exception {
    Map<String, byte[]> saved = new LinkedHashMap<>(image.dockerArchive("x"));
    saved.put(
        "manifest.json",
        Json.write(
                List.of(
                    Map.of(
                        "Config",
                        image.id().substring("sha256:".length()) + ".json",
                        "Layers",
                        List.of("0/layer.tar"))))
            .getBytes(UTF_8));
    TestImage.writeTar(directory.resolve("saved.tar"), saved);

    assertRefused(
        "docker-archive:saved.tar",
        Reason.MANIFEST_INVALID,
        "manifest.json has 1 layers, the configuration's rootfs.diff_ids 2");
  }

  @Test
  void indexesInEachOtherHaveAnEnd() throws Exception {
    byte[] inner = image.manifest();
    String type = TestImage.MANIFEST_TYPE;
    for (int depth = 0; depth < 6; depth++) {
      byte[] index =
          Json.write(Map.of("manifests", List.of(TestImage.descriptor(inner, type))))
              .getBytes(UTF_8);
      image.blobs().put(TestImage.digest(index), index);
      inner = index;
      type = TestImage.INDEX_TYPE;
    }
    TestImage.writeDirectory(
        directory.resolve("layout"), image.layout(List.of(TestImage.descriptor(inner, type))));

    assertRefused("oci:layout", Reason.MANIFEST_INVALID, "indexes are nested more than 4 deep");
  }

  private static Map<String, Object> entry(TestImage image, String architecture) {
    Map<String, Object> entry = TestImage.descriptor(image.manifest(), TestImage.MANIFEST_TYPE);
    String os = architecture.equals("unknown") ? "unknown" : "linux";
    entry.put("platform", Map.of("os", os, "architecture", architecture));
    return entry;
  }

  private static Map<String, Object> named(Map<String, Object> entry, String name, String tag) {
    entry.put(
        "annotations",
        Map.of("io.containerd.image.name", name, "org.opencontainers.image.ref.name", tag));
    return entry;
  }

  private void assertRefused(String source, Reason reason, String message) {
    ImageException refusal = refusal(source);
    assertEquals(message, String.valueOf(refusal.getMessage()).replace(directory + "/", ""));
    assertEquals(reason, refusal.reason());
  }

  private ImageException refusal(String source) {
    return assertThrows(ImageException.class, () -> resolve(source));
  }

  private SourceImage resolve(String source) throws Exception {
    return resolve(source, Architecture.X86_64);
  }

  /** Paths are relative to the test's directory. */
  private SourceImage resolve(String source, Architecture architecture) throws Exception {
    int colon = source.indexOf(':') + 1;
    String absolute =
        source.substring(0, colon) + directory.resolve(".") + "/" + source.substring(colon);
    try (ImageSource opened = Sources.open(absolute.replace("/./", "/")).orElseThrow()) {
      return opened.resolve(architecture);
    }
  }
}
