package dev.vireo.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.ImagePull;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeStatus;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.zip.GZIPOutputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Images from files here to nodes. */
final class ImageCommandsTest {
  private static final String CONFIG = "{\"architecture\": \"amd64\", \"os\": \"linux\"}";
  private static final String ARM_CONFIG = "{\"architecture\": \"arm64\", \"os\": \"linux\"}";

  @TempDir private Path directory;
  private final FakeController controller = new FakeController();
  private final FakeImages images = controller.images;
  private final Cli cli = new Cli(controller);

  @BeforeEach
  void addNodes() throws Exception {
    controller
        .add(node("a", Architecture.X86_64))
        .add(node("b", Architecture.X86_64))
        .add(node("arm", Architecture.ARM64))
        .add(change(node("lost", Architecture.X86_64), NodeStatus.Health.LOST, true))
        .add(change(node("bare", Architecture.X86_64), NodeStatus.Health.READY, false));
    images.nextId = id(CONFIG);
  }

  @AfterEach
  void close() {
    controller.close();
  }

  private static Node node(String id, Architecture architecture) {
    Node.Builder node = Node.newBuilder();
    node.getMetaBuilder().setName("nodes/" + id).putLabels("zone", id);
    node.getStatusBuilder()
        .setHealth(NodeStatus.Health.READY)
        .getCapabilitiesBuilder()
        .setArchitecture(architecture)
        .setRunsLinuxGuests(true);
    return node.build();
  }

  private static Node change(Node node, NodeStatus.Health health, boolean linux) {
    Node.Builder changed = node.toBuilder();
    changed.getStatusBuilder().setHealth(health).getCapabilitiesBuilder().setRunsLinuxGuests(linux);
    return changed.build();
  }

  private static String id(String config) throws Exception {
    return "sha256:"
        + HexFormat.of()
            .formatHex(MessageDigest.getInstance("SHA-256").digest(config.getBytes(UTF_8)));
  }

  private static Map<String, String> saved(String... tags) {
    Map<String, String> files = new LinkedHashMap<>();
    StringBuilder manifest = new StringBuilder("[");
    for (String tag : tags) {
      manifest.append(
          "%s{\"Config\": \"c.json\", \"RepoTags\": [%s], \"Layers\": [\"l.tar\"]}"
              .formatted(manifest.length() > 1 ? "," : "", tag.isEmpty() ? "" : '"' + tag + '"'));
    }
    files.put("manifest.json", manifest.append("]").toString());
    files.put("c.json", CONFIG);
    files.put("l.tar", "x".repeat(200_000));
    return files;
  }

  /** For two architectures, with an index between, and an attestation, as buildkit writes it. */
  private static Map<String, String> layout(String name) throws Exception {
    Map<String, String> files = new LinkedHashMap<>();
    files.put("oci-layout", "{\"imageLayoutVersion\": \"1.0.0\"}");
    String index =
        "{\"manifests\": [%s, %s, %s]}"
            .formatted(
                manifest(files, CONFIG, "amd64"),
                manifest(files, ARM_CONFIG, "arm64"),
                manifest(files, "{\"architecture\": \"unknown\"}", "unknown"));
    files.put(
        "index.json",
        "{\"manifests\": [{\"digest\": \"%s\"%s}]}"
            .formatted(
                blob(files, index),
                name.isEmpty()
                    ? ""
                    : ", \"annotations\": {\"org.opencontainers.image.ref.name\": \"%s\"}"
                        .formatted(name)));
    return files;
  }

  private static String manifest(Map<String, String> files, String config, String architecture)
      throws Exception {
    String manifest = "{\"config\": {\"digest\": \"%s\"}}".formatted(blob(files, config));
    return "{\"digest\": \"%s\", \"platform\": {\"os\": \"linux\", \"architecture\": \"%s\"}}"
        .formatted(blob(files, manifest), architecture);
  }

  private static String blob(Map<String, String> files, String content) throws Exception {
    files.put("blobs/" + id(content).replace(':', '/'), content);
    return id(content);
  }

  private Path tar(String name, Map<String, String> files) throws IOException {
    return Files.write(directory.resolve(name), tar(files));
  }

  private static byte[] tar(Map<String, String> files) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (TarArchiveOutputStream tar = new TarArchiveOutputStream(bytes)) {
      for (Map.Entry<String, String> file : files.entrySet()) {
        byte[] content = file.getValue().getBytes(UTF_8);
        TarArchiveEntry entry = new TarArchiveEntry(file.getKey());
        entry.setSize(content.length);
        tar.putArchiveEntry(entry);
        tar.write(content);
        tar.closeArchiveEntry();
      }
    }
    return bytes.toByteArray();
  }

  private static byte[] gzip(byte[] content) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (OutputStream out = new GZIPOutputStream(bytes)) {
      out.write(content);
    }
    return bytes.toByteArray();
  }

  @Test
  void anArchiveGoesToEveryNodeThatCanRunIt() throws Exception {
    Path file = tar("tool.tar", saved("tool:1"));

    assertEquals(0, cli.run("image", "load", file.toString()), cli::err);

    assertEquals(Set.of("nodes/a", "nodes/b"), images.starts.keySet());
    assertArrayEquals(Files.readAllBytes(file), images.archive("nodes/b").toByteArray());
    assertEquals(Files.size(file), images.start("nodes/a").getSizeBytes());
    String shortId = id(CONFIG).substring("sha256:".length(), "sha256:".length() + 12);
    assertEquals(
        """
        NODE  RESULT  IMAGE   ID            ROOT
        a     loaded  tool:1  %1$s  3.0 MiB
        b     loaded  tool:1  %1$s  3.0 MiB
        """
            .formatted(shortId),
        cli.out());
  }

  @Test
  void aNodeThatHasItIsSentNothing() throws Exception {
    images.put("nodes/a", id(CONFIG), "docker.io/library/tool:1");
    images.put("nodes/b", id(CONFIG), "docker.io/library/other:1");

    assertEquals(0, cli.run("image", "load", tar("t.tar", saved("tool:1")).toString()), cli::err);

    assertEquals(Set.of("nodes/b"), images.starts.keySet(), "b has not got that name");
    assertTrue(cli.out().contains("was there"), cli.out());
  }

  /** Whether one may be called like Vireo's own image, the node says. */
  @Test
  void theNameOfVireosOwnImageIsOneLikeOthersHere() throws Exception {
    images.put("nodes/a", id(CONFIG), "docker.io/library/busybox:latest");
    images.put("nodes/b", id(CONFIG), "busybox");
    String file = tar("t.tar", saved("tool:1")).toString();

    assertEquals(0, cli.run("image", "load", file, "--as", "busybox"), cli::err);

    assertEquals(Set.of("nodes/b"), images.starts.keySet());
    assertEquals("busybox", images.start("nodes/b").getImageName());
    assertTrue(cli.out().contains("was there"), cli.out());
  }

  @Test
  void whatFailsOnOneNodeIsSaidAndDoneOnTheOthers() throws Exception {
    images.failures.put("nodes/a", Errors.of(ErrorReason.NODE_DISK_FULL, "no room"));

    assertEquals(
        ExitCode.REFUSED, cli.run("image", "load", tar("t.tar", saved("tool:1")).toString()));

    assertTrue(cli.out().contains("\nb "), cli.out());
    assertFalse(cli.out().contains("\na "), cli.out());
    assertTrue(
        cli.err().startsWith("vireo: a has not got it:\nerror: no room\n  reason: NODE_DISK_FULL"),
        cli.err());
  }

  @Test
  void oneOfSeveralIsChosenAndNamed() throws Exception {
    Path file = tar("two.tar", saved("tool:1", "tool:2"));

    assertEquals(1, cli.run("image", "load", file.toString()));
    assertTrue(cli.err().contains("append :NAME with one of [tool:1, tool:2]"), cli.err());
    assertEquals(1, cli.run("image", "load", file + ":tool:3"));
    assertEquals(
        0,
        cli.run(
            "image load --as mine --node nodes/lost".split(" "), new String[] {file + ":tool:2"}),
        cli::err);

    assertEquals(Set.of("nodes/lost"), images.starts.keySet(), "it is the user's word");
    assertEquals("tool:2", images.start("nodes/lost").getArchiveImage());
    assertEquals("mine", images.start("nodes/lost").getImageName());
  }

  @Test
  void aLayoutIsForTheNodesOfAllItsArchitectures() throws Exception {
    Path layout = Files.createDirectory(directory.resolve("layout"));
    for (Map.Entry<String, String> file : layout("example.org/tool:1").entrySet()) {
      Path path = layout.resolve(file.getKey());
      Files.createDirectories(path.getParent());
      Files.writeString(path, file.getValue());
    }

    assertEquals(0, cli.run("image", "load", "oci:" + layout), cli::err);

    assertEquals(Set.of("nodes/a", "nodes/b", "nodes/arm"), images.starts.keySet());
    assertTrue(
        images.archive("nodes/arm").toString(UTF_8).contains("blobs/sha256/"), "it is a tar");
    assertEquals("example.org/tool:1", images.start("nodes/arm").getImageName());
    assertNoTemporaryFiles();
  }

  @Test
  void standardInputAndWhatIsCompressedAreUnpackedFirst() throws Exception {
    byte[] tar = tar(saved("tool:1"));

    assertEquals(
        0,
        cli.with(new ByteArrayInputStream(gzip(tar))).run("image", "load", "-", "--node", "a"),
        cli::err);
    assertArrayEquals(tar, images.archive("nodes/a").toByteArray());
    Path file = Files.write(directory.resolve("t.tar.gz"), gzip(tar));
    assertEquals(0, cli.run("image", "load", file.toString(), "--node", "b"), cli::err);
    assertArrayEquals(tar, images.archive("nodes/b").toByteArray());
    assertNoTemporaryFiles();
  }

  private static void assertNoTemporaryFiles() throws IOException {
    try (var files = Files.list(Path.of(System.getProperty("java.io.tmpdir")))) {
      assertEquals(
          0, files.filter(file -> file.getFileName().toString().startsWith("vireo-image")).count());
    }
  }

  @Test
  void whatIsNoImageIsNotSent() throws Exception {
    Path text = Files.writeString(directory.resolve("t.tar"), "no tar at all".repeat(100));
    Path empty = tar("e.tar", Map.of("a", "b"));
    Path incomplete = tar("i.tar", saved("tool:1"));
    Map<String, String> files = saved("tool:1");
    files.remove("c.json");
    Files.write(incomplete, tar(files));
    Path unnamed = tar("u.tar", saved(""));
    for (String source :
        new String[] {
          text.toString(),
          empty.toString(),
          incomplete.toString(),
          unnamed.toString(),
          directory.resolve("none.tar").toString(),
          directory.toString()
        }) {
      assertEquals(ExitCode.FAILED, cli.run("image", "load", source), source);
      assertTrue(cli.err().startsWith("error: "), cli.err());
    }
    assertEquals(Set.of(), images.starts.keySet());
    controller.changeNode(
        "nodes/arm", node -> change(node.build(), NodeStatus.Health.LOST, true).toBuilder());
    Path arm =
        tar(
            "arm.tar",
            Map.of(
                "manifest.json",
                "[{\"Config\": \"c\", \"RepoTags\": [\"x:1\"], \"Layers\": []}]",
                "c",
                ARM_CONFIG));
    assertEquals(ExitCode.UNAVAILABLE, cli.run("image", "load", arm.toString()));
    assertTrue(cli.err().contains("runs Linux guests of arm64"), cli.err());
  }

  @Test
  void runBringsAFileAndRunsItByItsId() throws Exception {
    Path file = tar("tool.tar", saved("tool:1"));
    images.put("nodes/a", id(CONFIG), "docker.io/library/tool:1");
    controller.afterCreate(name -> {
      controller.state(name, dev.vireo.proto.v1.MicroVmState.RUNNING);
      controller.exit(name, 7);
    });

    assertEquals(7, cli.run("run", "--rm", "--image", file.toString(), "--", "x"), cli::err);

    assertEquals(Set.of("nodes/b"), images.starts.keySet(), "a has it");
    var container = controller.creates.getFirst().getMicrovm().getSpec().getContainer();
    assertEquals(id(CONFIG), container.getImage());
    assertEquals(ImagePull.IMAGE_PULL_IF_MISSING, container.getPull());
  }

  @Test
  void runBringsAnImageToNodesThatMayTakeIt() throws Exception {
    Path file = tar("un named.tar", saved(""));
    assertEquals(
        0, cli.run("run", "--node-selector", "zone=b", "--image", file.toString()), cli::err);
    assertEquals(Set.of("nodes/b"), images.starts.keySet());
    assertEquals("localhost/un-named", images.start("nodes/b").getImageName());

    assertEquals(ExitCode.OF_VIREO, cli.run("run", "--arch", "arm64", "--image", file.toString()));
    assertEquals(
        ExitCode.OF_VIREO, cli.run("run", "--node-selector", "zone=c", "--image", file.toString()));
    assertEquals(ExitCode.OF_VIREO, cli.run("run", "--image", "./none.tar"));
    assertTrue(cli.err().contains("./none.tar does not exist"), cli.err());
    assertEquals(1, controller.creates.size());
  }

  @Test
  void runGoesOnWithTheNodesThatGotIt() throws Exception {
    Path file = tar("tool.tar", saved("tool:1"));
    images.failures.put("nodes/a", Errors.of(ErrorReason.NODE_DISK_FULL, "no room"));
    assertEquals(0, cli.run("run", "--image", file.toString()), cli::err);
    assertTrue(cli.err().contains("a has not got the image"), cli.err());

    images.failures.put("nodes/b", Errors.of(ErrorReason.NODE_DISK_FULL, "no room"));
    images.nextId = "sha256:other";
    controller.changeNode("nodes/b", node -> node);
    assertEquals(0, cli.run("image", "rm", "--node", "b", "tool:1"), cli::err);
    assertEquals(ExitCode.OF_VIREO, cli.run("run", "--image", file.toString()));
    assertTrue(cli.err().contains("NODE_DISK_FULL"), cli.err());
  }

  @Test
  void aNameIsNotTakenForAFile() throws Exception {
    assertEquals(0, cli.run("run", "--image", "tool.tar"), cli::err);
    assertEquals(
        "tool.tar", controller.creates.getFirst().getMicrovm().getSpec().getContainer().getImage());
    assertEquals(Set.of(), images.starts.keySet());
  }

  @Test
  void nodesImagesAreListedAndRemoved() throws Exception {
    images.put("nodes/a", id(CONFIG), "docker.io/library/tool:1", "docker.io/library/tool:2");
    images.put("nodes/b", id(ARM_CONFIG));

    assertEquals(0, cli.run("image", "list", "--nodes"), cli::err);
    assertEquals(4, cli.out().lines().count(), cli.out());
    assertEquals(0, cli.run("image", "list", "--node", "a", "-o", "name"), cli::err);
    assertEquals("docker.io/library/tool:1\ndocker.io/library/tool:2\n", cli.out());

    assertEquals(0, cli.run("image", "rm", "docker.io/library/tool:1", "--node", "a"), cli::err);
    assertEquals("a  docker.io/library/tool:1\n", cli.out());
    assertEquals(
        ExitCode.NOT_FOUND, cli.run("image", "rm", "docker.io/library/tool:1", "--node", "a"));
    assertEquals(ExitCode.FAILED, cli.run("image", "list"), "it is the launcher's");
    assertEquals(ExitCode.FAILED, cli.run("image", "rm", "x"));
  }
}
