package dev.vireo.oci;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.images.Architecture;
import dev.vireo.images.ImageException;
import dev.vireo.images.ImageException.Reason;
import dev.vireo.images.container.ContainerImage;
import dev.vireo.images.container.ContainerImageCache;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.apache.commons.compress.archivers.tar.TarConstants;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** From layers to a squashfs in the cache, read back; and what no pull leaves anything of. */
class PullTest {
  @TempDir private Path directory = Path.of("");

  @Test
  void aRootHasWhatItsLayersSay() throws Exception {
    byte[] capability = {1, 0, 0, 2, (byte) 0xff, (byte) 0xfe, '\n', 0, 0, 0, 0, 0};
    String longName = "n".repeat(200);
    Squashed root =
        pull(
            TestImage.of(
                new Tar()
                    .directory("./", 0711)
                    .directory("bin", 0755)
                    .records(Tar.record("SCHILY.xattr.security.capability", capability))
                    .file("bin/ping", "ping", 04755)
                    .hardLink("bin/ping6", "bin/ping")
                    .symbolicLink("bin/sh", "/bin/../busybox")
                    .device("null", TarConstants.LF_CHR, 1, 3)
                    .device("disk", TarConstants.LF_BLK, 8, 1)
                    .device("pipe", TarConstants.LF_FIFO, 0, 0)
                    .owned("mine", "my own", 100_000, 4_000_000_000L)
                    .file("made/without/" + longName, "deep")));

    assertEquals(
        """
        dir bin 0755 0 0
        dir made 0755 0 0
        dir made/without 0755 0 0
        file bin/ping 04755 0 0
        file bin/ping6 04755 0 0
        file made/without/%s 0644 0 0
        file mine 0600 100000 4000000000
        nod disk 0660 0 0 b 8 1
        nod null 0660 0 0 c 1 3
        pipe pipe 0660 0 0
        slink bin/sh 0777 0 0 /bin/../busybox
        """
            .formatted(longName),
        root.description());
    assertTrue(root.listing().startsWith("drwx--x--x 0/0 "), root::listing);
    Path extracted = root.extract(directory.resolve("extracted"), "bin/ping", "bin/ping6");
    assertTrue(Files.isSameFile(extracted.resolve("bin/ping"), extracted.resolve("bin/ping6")));
    assertEquals("ping", root.text("bin/ping"));
    assertEquals("ping", root.text("bin/ping6"));
    assertEquals("deep", root.text("made/without/" + longName));
    assertEquals(
        "security.capability=0x01000002FFFE0A0000000000\n", root.extendedAttributes("bin/ping"));
  }

  @Test
  void timesAreKept() throws Exception {
    Squashed root = pull(TestImage.of(new Tar().file("file", "")));

    assertTrue(root.listing().contains("2023-11-14 22:13 squashfs-root/file"), root::listing);
  }

  @ParameterizedTest
  @MethodSource("compressions")
  void aLayerIsCompressedAsItsFirstBytesSay(UnaryOperator<byte[]> compression) throws Exception {
    Squashed root = pull(TestImage.of(compression, new Tar().file("file", "x".repeat(300_000))));

    assertEquals("x".repeat(300_000), root.text("file"));
  }

  static Stream<UnaryOperator<byte[]>> compressions() {
    return Stream.of(Tar::gzip, Tar::zstd, Tar::zstdWithSkippableFrames, UnaryOperator.identity());
  }

  @Test
  void aHardLinkToALowerLayersFileKeepsThatFile() throws Exception {
    Squashed root =
        pull(
            TestImage.of(
                new Tar().file("a", "old"),
                new Tar().hardLink("b", "a"),
                new Tar().file("a", "new").whiteout("c")));

    assertEquals("new", root.text("a"));
    assertEquals("old", root.text("b"));
  }

  @Test
  void aHoleIsReadAsWhatItIs() throws Exception {
    Squashed root = pull(TestImage.of(new Tar().sparse("h", 5_000_000).file("f", "content")));

    assertEquals("\0".repeat(5_000_000 - 512) + "x".repeat(512), root.text("h"));
    assertEquals("content", root.text("f"));
  }

  @Test
  void extendedAttributesThatSquashfsHasNotAreLeftOut() throws Exception {
    Squashed root =
        pull(
            TestImage.of(
                new Tar()
                    .records(
                        Tar.records(
                            Tar.record("SCHILY.xattr.system.posix_acl_access", new byte[] {2}),
                            Tar.record("SCHILY.xattr.com.apple.provenance", new byte[] {1}),
                            Tar.record("SCHILY.xattr.user.mine", new byte[] {3})))
                    .file("f", "content")));

    assertEquals("user.mine=0x03\n", root.extendedAttributes("f"));
  }

  @Test
  void aDiskThatFillsIsLeftWithRoom() throws Exception {
    Files.createDirectories(directory.resolve("cache"));
    TestImage image =
        TestImage.of(UnaryOperator.identity(), new Tar().file("f", "x".repeat(9 << 20)));
    List<Long> free = new ArrayList<>(List.of(1L << 30, 101L << 20));
    ContainerImageCache cache =
        new ContainerImageCache(
            directory.resolve("cache"),
            () -> free.size() > 1 ? free.removeFirst() : free.getFirst(),
            InstantSource.system());

    ImageException refusal = assertThrows(ImageException.class, () -> pull(image, cache));

    assertEquals(Reason.DISK_FULL, refusal.reason());
    assertEquals(
        "the disk of the image cache has 100 MiB left, and 128 MiB are to stay free; vireo image"
            + " prune --keep-free makes room",
        refusal.getMessage());
    assertNothingIsLeft();
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void whatIsNoContentIsLeftRoomForToo(boolean links) throws Exception {
    Files.createDirectories(directory.resolve("cache"));
    Tar tar = new Tar();
    for (int i = 0; i < 5000; i++) {
      if (links) {
        for (int j = 0; j < 5; j++) {
          tar.symbolicLink("d" + i % 50 + "/" + "l".repeat(90) + i + j, "t".repeat(90));
        }
      } else {
        tar.records(Tar.record("SCHILY.xattr.user.a", new byte[900])).directory("d" + i, 0755);
      }
    }
    ContainerImageCache cache =
        new ContainerImageCache(
            directory.resolve("cache"), () -> 130L << 20, InstantSource.system());

    ImageException refusal =
        assertThrows(ImageException.class, () -> pull(TestImage.of(tar), cache));

    assertEquals(Reason.DISK_FULL, refusal.reason());
    assertNothingIsLeft();
  }

  @Test
  void layersThatTogetherAreLargerThanImagesAreAreRefused() throws Exception {
    long size = 60L << 30;
    // Hidden by the topmost: what the root has of them does not matter.
    TestImage image =
        TestImage.of(
            new Tar().sparse("h", size),
            new Tar().sparse("h", size),
            new Tar().sparse("h", size),
            new Tar().whiteout("h"));

    ImageException refusal = assertThrows(ImageException.class, () -> pull(image, "cache"));

    assertEquals(Reason.LAYER_INVALID, refusal.reason());
    assertEquals(
        "the first 3 layers are larger than 137438953472 bytes, which is what an image may have",
        refusal.getMessage());
    assertNothingIsLeft();
  }

  @Test
  void namesAreBytes() throws Exception {
    String latin = new String(new byte[] {'c', (byte) 0xe9}, ISO_8859_1);
    String utf8 = new String("é".repeat(120).getBytes(UTF_8), ISO_8859_1);
    Squashed root =
        pull(
            TestImage.of(
                new Tar().file(latin, "latin").file(utf8, "long"),
                new Tar()
                    .records(Tar.record("path", utf8.getBytes(ISO_8859_1)))
                    .file("short", "PAX")));

    assertEquals("file %s 0644 0 0\nfile %s 0644 0 0\n".formatted(latin, utf8), root.description());
  }

  @Test
  void equalImagesMakeEqualBytes() throws Exception {
    TestImage image =
        TestImage.of(
            new Tar().file("a", "one".repeat(100_000)).directory("d", 0700),
            new Tar().file("d/b", "two").hardLink("d/c", "a"));

    byte[] first = Files.readAllBytes(pull(image, "one").root());
    byte[] second = Files.readAllBytes(pull(image, "two").root());

    assertArrayEquals(first, second);
  }

  @Test
  void settingsAreThoseOfTheConfiguration() throws Exception {
    ContainerImage image =
        pull(
            TestImage.of(
                TestImage.config(
                    "amd64",
                    Map.of(
                        "Entrypoint", List.of("/bin/sh", "-c"),
                        "Cmd", List.of("echo \"hi\\\n=\u00e9\""),
                        "Env", List.of("PATH=/bin", "EMPTY=", "#odd:key=1 = 2"),
                        "User", "nobody:nogroup",
                        "WorkingDir", "/srv/a b",
                        "ExposedPorts",
                            Map.of("80/tcp", Map.of(), "53/udp", Map.of(), "9", Map.of()),
                        "StopSignal", "SIGQUIT")),
                Tar::gzip,
                new Tar()),
            "cache");

    assertEquals(
        new ContainerImage.Settings(
            Architecture.X86_64,
            List.of("/bin/sh", "-c"),
            List.of("echo \"hi\\\n=\u00e9\""),
            List.of("PATH=/bin", "EMPTY=", "#odd:key=1 = 2"),
            "nobody:nogroup",
            "/srv/a b",
            List.of("53/udp", "80/tcp", "9/tcp"),
            "SIGQUIT",
            Optional.of(Instant.parse("2026-01-02T02:04:05.678Z"))),
        image.settings());
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("badImages")
  void aBadImageIsRefusedAndLeavesNothing(
      String name, TestImage image, Reason reason, String complaint) throws Exception {
    ImageException refusal = assertThrows(ImageException.class, () -> pull(image, "cache"));

    assertEquals(
        complaint,
        String.valueOf(refusal.getMessage()).replaceAll("sha256:[0-9a-f]{64}", "DIGEST"));
    assertEquals(reason, refusal.reason());
    assertNothingIsLeft();
  }

  static Stream<Arguments> badImages() {
    return Stream.of(
        bad(
            "..",
            new Tar().file("a/../../etc/passwd", ""),
            "entry \"a/../../etc/passwd\" leads out of where it is, by .. in a/../../etc/passwd"),
        bad("absolute", new Tar().file("/etc/passwd", ""), "entry \"/etc/passwd\" is absolute"),
        bad(
            "absolute hard link",
            new Tar().hardLink("a", "/etc/shadow"),
            "entry \"a\" is a hard link to the absolute /etc/shadow"),
        bad(
            "hard link with ..",
            new Tar().hardLink("a", "../etc/shadow"),
            "entry \"a\" leads out of where it is, by .. in ../etc/shadow"),
        badRoot(
            "hard link to nothing",
            new Tar().hardLink("a", "b"),
            "entry \"a\" is a hard link to b, which is not in the image"),
        badRoot(
            "hard link to a directory",
            new Tar().directory("b", 0755).hardLink("a", "b"),
            "entry \"a\" is a hard link to b, which is a directory"),
        badRoot(
            "links in circles",
            new Tar().symbolicLink("a", "b").symbolicLink("b", "a").file("a/f", ""),
            "entry \"a\" is below symbolic links that go round in circles"),
        bad(
            "device",
            new Tar().device("d", TarConstants.LF_CHR, 1 << 20, 0),
            "entry \"d\" is a device of a number that Linux has not: 1048576"),
        bad("type", new Tar().ofType("v", 'V'), "entry \"v\" is of a type that no layer has: 'V'"),
        bad(
            "root as a file",
            new Tar().file("./.", ""),
            "entry \"./.\" is no directory, but the root"),
        bad(
            "long name",
            new Tar().file("n".repeat(256), ""),
            "entry \"%s…\" has a name that Linux does not take".formatted("n".repeat(200))),
        bad(
            "long path",
            new Tar().file("d/".repeat(2100) + "f", ""),
            "entry \"%s…\" has a path longer than Linux takes".formatted("d/".repeat(100))),
        bad(
            "NUL in a PAX path",
            new Tar().records(Tar.record("path", new byte[] {'a', 0, 'b'})).file("x", ""),
            "entry \"a?b\" has a name that Linux does not take"),
        bad(
            "escape for a terminal",
            new Tar().file("/\u001b[2J", ""),
            "entry \"/?[2J\" is absolute"),
        bad(
            "user",
            new Tar().owned("u", "", 0xffff_ffffL, 0),
            "entry \"u\" is of a user or group that Linux has not: 4294967295"),
        bad(
            "a hole that is larger than layers are",
            new Tar().sparse("h", (64L << 30) - 1).file("f", "more"),
            "entry \"f\" makes the layer's files larger than 68719476736 bytes"),
        bad("whiteout of nothing", new Tar().file("d/.wh.", ""), "entry \"d/.wh.\" hides no name"),
        bad("whiteout of ..", new Tar().file("d/.wh...", ""), "entry \"d/.wh...\" hides no name"),
        Arguments.of(
            "one bit of a layer",
            TestImage.of(new Tar().file("f", "content")).spoil(0, PullTest::flip),
            Reason.DIGEST_MISMATCH,
            "layer 1 should be DIGEST, but has the digest DIGEST: it was damaged on its way; pull"
                + " again, or ask who made it"),
        Arguments.of(
            "truncated layer",
            TestImage.of(new Tar().file("f", "content"))
                .spoil(0, content -> Arrays.copyOf(content, 50)),
            Reason.DIGEST_MISMATCH,
            "layer 1 should be DIGEST, but has 50 of its 96 bytes: it was damaged on its way; pull"
                + " again, or ask who made it"),
        Arguments.of(
            "layer with more behind it",
            TestImage.of(new Tar().file("f", "content"))
                .spoil(0, content -> Arrays.copyOf(content, content.length + 1)),
            Reason.DIGEST_MISMATCH,
            "layer 1 should be DIGEST, but is longer than its 96 bytes: it was damaged on its way;"
                + " pull again, or ask who made it"),
        Arguments.of(
            "no tar",
            TestImage.of(content -> "<html>".repeat(200).getBytes(UTF_8), new Tar()),
            Reason.LAYER_INVALID,
            "layer 1 cannot be read: Corrupted TAR archive."),
        Arguments.of(
            "another tar than the configuration says",
            TestImage.of(
                content -> Tar.gzip(new Tar().file("other", "").bytes()), new Tar().file("f", "")),
            Reason.DIGEST_MISMATCH,
            "layer 1's tar should be DIGEST, as the image's configuration says, but has the digest"
                + " DIGEST"),
        Arguments.of(
            "gzip that ends too early",
            TestImage.of(
                content -> Arrays.copyOf(Tar.gzip(content), 60), new Tar().file("f", "content")),
            Reason.LAYER_INVALID,
            "layer 1 cannot be read: it ends too early"),
        Arguments.of(
            "zstd that is none",
            TestImage.of(
                content -> flip(Tar.zstd(content)), new Tar().file("f", "content".repeat(9999))),
            Reason.LAYER_INVALID,
            "layer 1 cannot be read: not zstd: Bad checksum. Expected: bf79a436, actual: 6db0aa25:"
                + " offset=123"),
        Arguments.of(
            "tar that ends in a file",
            TestImage.of(
                content -> Tar.gzip(Arrays.copyOf(content, 1000)),
                new Tar().file("f", "c".repeat(5000))),
            Reason.LAYER_INVALID,
            "layer 1 cannot be read: Truncated TAR archive"),
        Arguments.of(
            "no configuration",
            TestImage.of(
                TestImage.config("amd64", Map.of("Env", List.of("novalue"))), Tar::gzip, new Tar()),
            Reason.MANIFEST_INVALID,
            "the image's configuration: config.Env has \"novalue\", which is not NAME=VALUE"),
        Arguments.of(
            "a relative working directory",
            TestImage.of(
                TestImage.config("amd64", Map.of("WorkingDir", "../..")), Tar::gzip, new Tar()),
            Reason.MANIFEST_INVALID,
            "the image's configuration: config.WorkingDir is not absolute: \"../..\""),
        Arguments.of(
            "a command that is no list",
            TestImage.of(TestImage.config("amd64", Map.of("Cmd", "sh")), Tar::gzip, new Tar()),
            Reason.MANIFEST_INVALID,
            "the image's configuration: Cmd is not a list"),
        Arguments.of(
            "a NUL in a command",
            TestImage.of(
                TestImage.config("amd64", Map.of("Cmd", List.of("a\0b"))), Tar::gzip, new Tar()),
            Reason.MANIFEST_INVALID,
            "the image's configuration: Cmd has what is no text: \"a\\u0000b\""),
        badText(
            "half of a character in a command",
            Map.of("Cmd", List.of("a\ud800")),
            "Cmd has what is no text: \"a\ud800\""),
        badText(
            "half of a character in a variable",
            Map.of("Env", List.of("A=\udc00")),
            "Env has what is no text: \"A=\udc00\""),
        badText(
            "a NUL in a port",
            Map.of("ExposedPorts", Map.of("80\0", Map.of())),
            "config.ExposedPorts has what is no text: \"80\\u0000\""),
        Arguments.of(
            "another architecture",
            TestImage.of(TestImage.config("arm64", Map.of()), Tar::gzip, new Tar()),
            Reason.ARCHITECTURE_MISSING,
            "the image is for linux/arm64, not for linux/amd64; ask for --arch arm64, or for"
                + " another image"));
  }

  private static Arguments bad(String name, Tar layer, String complaint) {
    return Arguments.of(name, TestImage.of(layer), Reason.LAYER_INVALID, "layer 1: " + complaint);
  }

  private static Arguments badText(String name, Map<String, Object> settings, String complaint) {
    return Arguments.of(
        name,
        TestImage.of(TestImage.config("amd64", settings), Tar::gzip, new Tar()),
        Reason.MANIFEST_INVALID,
        "the image's configuration: " + complaint);
  }

  private static Arguments badRoot(String name, Tar layer, String complaint) {
    return Arguments.of(name, TestImage.of(layer), Reason.LAYER_INVALID, complaint);
  }

  private static byte[] flip(byte[] content) {
    content[content.length / 2] ^= 1;
    return content;
  }

  private void assertNothingIsLeft() throws IOException {
    try (Stream<Path> files = Files.walk(directory.resolve("cache"))) {
      assertEquals(
          List.of(),
          files
              .filter(Files::isRegularFile)
              .map(file -> directory.relativize(file).toString())
              .filter(name -> !name.equals("cache/.lock"))
              .toList());
    }
  }

  private Squashed pull(TestImage image) throws Exception {
    return new Squashed(pull(image, "cache").root());
  }

  private ContainerImage pull(TestImage image, String cacheName) throws Exception {
    return pull(
        image, ContainerImageCache.of(Files.createDirectories(directory.resolve(cacheName))));
  }

  private ContainerImage pull(TestImage image, ContainerImageCache cache) throws Exception {
    Path layout = TestImage.writeDirectory(directory.resolve("layout"), image.layout(Map.of()));
    try (ImageSource source = new LayoutSource(FileSet.ofDirectory(layout), Optional.empty());
        ContainerImageCache.Use use =
            new Pull(cache, PullProgress.NONE).run(source, source.resolve(Architecture.X86_64))) {
      return use.image();
    }
  }
}
