package dev.vireo.systemtests;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.Objects.requireNonNull;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.google.protobuf.ByteString;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.ContainerImage;
import dev.vireo.proto.v1.ContainerImageLoaded;
import dev.vireo.proto.v1.ContainerImageServiceGrpc;
import dev.vireo.proto.v1.ListContainerImagesRequest;
import dev.vireo.proto.v1.LoadContainerImageRequest;
import dev.vireo.proto.v1.LoadContainerImageResponse;
import dev.vireo.proto.v1.LoadContainerImageStart;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.BlockingClientCall;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/**
 * A container image from a client's file to a node, with the real controller, worker and program
 * that makes it; and all that can be wrong with it. What fails leaves nothing on the node.
 */
@Tag("kvm")
class ImageLoadTest {
  @RegisterExtension static final ClusterExtension CLUSTER = new ClusterExtension(1);

  private static final int CHUNK = 64 << 10;
  private static final String NODE = "nodes/local";

  @TempDir private Path directory;

  private final Vireo vireo = new Vireo(CLUSTER.cluster());

  @BeforeEach
  void requireProgram() {
    assumeTrue(Files.isExecutable(Path.of("/usr/bin/tar2sqfs")), "needs tar2sqfs");
  }

  @AfterEach
  void nothingIsLeft() throws Exception {
    for (ContainerImage image : images()) {
      assertEquals(0, vireo.run("image", "rm", "--node", "local", image.getId()).exitCode());
    }
    await().atMost(ClusterExtension.PATIENCE).until(() -> archives() == 0);
    try (Stream<Path> files = Files.list(cache())) {
      assertEquals(
          List.of(".lock", "names"),
          files.map(file -> String.valueOf(file.getFileName())).sorted().toList());
    } catch (java.nio.file.NoSuchFileException e) {
      // Nothing was ever there.
    }
  }

  private static Path cache() {
    return CLUSTER.cluster().processes().directory().resolve("cache/images-oci");
  }

  private static long archives() throws IOException {
    Path archives = CLUSTER.cluster().stateDirectory().resolve("worker/local/archives");
    if (!Files.isDirectory(archives)) {
      return 0;
    }
    try (Stream<Path> files = Files.list(archives)) {
      return files.count();
    }
  }

  private static List<ContainerImage> images() {
    return ContainerImageServiceGrpc.newBlockingStub(CLUSTER.cluster().channel())
        .listContainerImages(ListContainerImagesRequest.newBuilder().setNode(NODE).build())
        .getImagesList();
  }

  private static byte[] layer(String content) throws IOException {
    return SavedImage.tar(Map.of("bin/tool", content.getBytes(UTF_8)));
  }

  // ---- a client

  private static BlockingClientCall<LoadContainerImageRequest, LoadContainerImageResponse> begin(
      LoadContainerImageStart.Builder start) throws Exception {
    BlockingClientCall<LoadContainerImageRequest, LoadContainerImageResponse> call =
        ContainerImageServiceGrpc.newBlockingV2Stub(CLUSTER.cluster().channel())
            .withDeadlineAfter(ClusterExtension.PATIENCE.toSeconds(), TimeUnit.SECONDS)
            .loadContainerImage();
    assertTrue(
        call.write(LoadContainerImageRequest.newBuilder().setStart(start.setNode(NODE)).build()));
    return call;
  }

  private static void send(
      BlockingClientCall<LoadContainerImageRequest, LoadContainerImageResponse> call, byte[] data)
      throws Exception {
    for (int at = 0; at < data.length; at += CHUNK) {
      ByteString chunk = ByteString.copyFrom(data, at, Math.min(CHUNK, data.length - at));
      call.write(LoadContainerImageRequest.newBuilder().setData(chunk).build());
    }
  }

  private static ContainerImageLoaded load(byte[] archive, LoadContainerImageStart.Builder start)
      throws Exception {
    var call = begin(start);
    send(call, archive);
    call.halfClose();
    LoadContainerImageResponse next = requireNonNull(call.read());
    while (!next.hasLoaded()) {
      next = requireNonNull(call.read());
    }
    return next.getLoaded();
  }

  private static LoadContainerImageStart.Builder start() {
    return LoadContainerImageStart.newBuilder();
  }

  private static void assertRefused(
      ErrorReason reason, String what, byte[] archive, LoadContainerImageStart.Builder start) {
    StatusException refused = assertThrows(StatusException.class, () -> load(archive, start), what);
    assertEquals(Optional.of(reason), Errors.reasonOf(refused), refused::toString);
    assertTrue(String.valueOf(refused.getMessage()).contains(what), refused::toString);
    assertEquals(List.of(), images(), "nothing is there");
  }

  // ---- what can be

  @Test
  void anArchiveBecomesAnImageOfTheNode() throws Exception {
    Path file = directory.resolve("tool.tar");
    Files.write(file, SavedImage.of("tool:1", "amd64", layer("a tool".repeat(100_000))));
    Vireo.Result loaded = vireo.run("image", "load", "--node", "local", file.toString());
    assertEquals(0, loaded.exitCode(), loaded.err());
    assertTrue(loaded.out().contains("loaded  docker.io/library/tool:1"), loaded.out());

    assertEquals(List.of("docker.io/library/tool:1"), images().getFirst().getNamesList());
    assertTrue(vireo.run("image", "list", "--nodes").out().contains("docker.io/library/tool:1"));
    await()
        .atMost(ClusterExtension.PATIENCE)
        .until(() -> vireo.run("node", "get", "local").out().contains("docker.io/library/tool:1"));
    assertTrue(
        vireo.run("image", "load", "--node", "local", file.toString()).out().contains("was there"));
    ContainerImageLoaded again =
        load(Files.readAllBytes(file), start().setImageName("example.org/other:2"));
    assertTrue(again.getExisted());
    assertEquals("example.org/other:2", again.getImageName());
    assertEquals(1, images().size());
  }

  @Test
  void whatIsWrongWithAnArchiveIsSaid() throws Exception {
    byte[] layer = layer("a tool");
    byte[] good = SavedImage.of("tool:1", "amd64", layer);
    assertRefused(
        ErrorReason.CONTAINER_IMAGE_INVALID,
        "data: ",
        SavedImage.of("tool:1", "amd64", layer("another"), layer),
        start());
    assertRefused(
        ErrorReason.CONTAINER_IMAGE_INVALID,
        "arm64",
        SavedImage.of("tool:1", "arm64", layer),
        start());
    assertRefused(
        ErrorReason.CONTAINER_IMAGE_INVALID,
        "cannot be read as a tar",
        "x".repeat(5000).getBytes(UTF_8),
        start());
    assertRefused(
        ErrorReason.CONTAINER_IMAGE_INVALID,
        "is no image",
        SavedImage.tar(Map.of("a", layer)),
        start());
    assertRefused(
        ErrorReason.CONTAINER_IMAGE_INVALID,
        "ends after",
        Arrays.copyOf(good, good.length / 2),
        start().setSizeBytes(good.length));
    assertRefused(
        ErrorReason.CONTAINER_IMAGE_INVALID,
        "start.archive_image",
        good,
        start().setArchiveImage("tool:2"));
    assertRefused(
        ErrorReason.FIELD_INVALID, "start.image_name", good, start().setImageName("UPPER"));
    assertRefused(ErrorReason.NODE_DISK_FULL, "free", good, start().setSizeBytes(1L << 50));
  }

  @Test
  void aClientThatVanishesHalfWayLeavesNothing() throws Exception {
    var call = begin(start());
    send(call, new byte[1 << 20]);
    await().until(() -> archives() == 1);
    call.cancel("the client goes", null);
    await().atMost(ClusterExtension.PATIENCE).until(() -> archives() == 0);
  }

  @Test
  void aWorkerThatIsKilledHalfWayLeavesNothingOnceItIsThereAgain() throws Exception {
    var call = begin(start());
    send(call, new byte[1 << 20]);
    await().until(() -> archives() == 1);

    CLUSTER.cluster().killWorker();

    StatusException gone =
        assertThrows(
            StatusException.class,
            () -> {
              while (call.read() != null) {
                // What was on its way.
              }
            });
    assertEquals(Optional.of(ErrorReason.NODE_UNREACHABLE), Errors.reasonOf(gone));
    assertEquals(1, archives());
    CLUSTER.cluster().startWorker(CLUSTER.pool());
    // Its node counts as ready before it has a session: its lease lasts.
    await()
        .atMost(ClusterExtension.PATIENCE)
        .ignoreExceptionsInstanceOf(StatusRuntimeException.class)
        .until(() -> images().isEmpty());
    assertEquals(0, archives());
    assertFalse(
        load(SavedImage.of("tool:1", "amd64", layer("a tool")), start()).getExisted(),
        "it is loaded anew");
  }
}
