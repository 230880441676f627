package dev.vireo.worker.image;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.images.Architecture;
import dev.vireo.images.container.ContainerImage;
import dev.vireo.images.container.ContainerImageCache;
import dev.vireo.images.container.ImageId;
import dev.vireo.images.container.ImageName;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.ContainerImageLoaded;
import dev.vireo.proto.v1.DeleteContainerImageRequest;
import dev.vireo.proto.v1.ListContainerImagesRequest;
import dev.vireo.proto.v1.LoadContainerImageRequest;
import dev.vireo.proto.v1.LoadContainerImageResponse;
import dev.vireo.proto.v1.LoadContainerImageStart;
import dev.vireo.proto.v1.LoadProgress.Phase;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelFailure;
import dev.vireo.proto.worker.v1.TunnelUp;
import dev.vireo.worker.agent.FakeTunnel;
import dev.vireo.worker.container.PullProgram;
import dev.vireo.worker.time.ManualTime;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Calls about a node's images, with a shell script for the program that makes them. */
class ImageCallsTest {
  private static final ImageId ID = new ImageId("c".repeat(64));
  private static final long GIBIBYTE = 1L << 30;

  @TempDir private Path directory;
  private final ManualTime time = new ManualTime();
  private final AtomicLong free = new AtomicLong(GIBIBYTE);

  private Path cacheDirectory() {
    return directory.resolve("cache");
  }

  private Path archives() {
    return directory.resolve("archives");
  }

  private ContainerImageCache cache() {
    return ContainerImageCache.of(cacheDirectory());
  }

  private ImageCalls calls(String script) {
    PullProgram program = new PullProgram(List.of("/bin/sh", "-c", script, "sh"), cacheDirectory());
    return new ImageCalls(
        new NodeImages(cache(), Architecture.X86_64, program),
        new ArchiveDirectory(archives(), _ -> free.get()),
        time);
  }

  private void putImage(String name) throws Exception {
    var _ =
        cache()
            .obtain(
                ID,
                building -> {
                  Files.writeString(building.resolve(ContainerImage.ROOT_FILE), "squashfs");
                  return new ContainerImage.Settings(
                      Architecture.X86_64,
                      List.of("/tool"),
                      List.of(),
                      List.of(),
                      "",
                      "",
                      List.of(),
                      "",
                      Optional.empty());
                });
    cache().name(ImageName.parse(name), ID);
  }

  private static FakeTunnel begin(ImageCalls calls, LoadContainerImageStart.Builder start) {
    FakeTunnel tunnel = FakeTunnel.reading();
    tunnel.say(load(LoadContainerImageRequest.newBuilder().setStart(start)));
    calls.serve(tunnel);
    return tunnel;
  }

  private static TunnelDown.Builder load(LoadContainerImageRequest.Builder request) {
    return TunnelDown.newBuilder().setLoadImage(request);
  }

  private static void send(FakeTunnel tunnel, String text) {
    tunnel.say(load(LoadContainerImageRequest.newBuilder().setData(ByteString.copyFromUtf8(text))));
  }

  private static LoadContainerImageStart.Builder start() {
    return LoadContainerImageStart.newBuilder().setNode("nodes/a");
  }

  private static ContainerImageLoaded loaded(FakeTunnel tunnel) throws InterruptedException {
    LoadContainerImageResponse next = tunnel.next().getLoadImage();
    while (!next.hasLoaded()) {
      next = tunnel.next().getLoadImage();
    }
    return next.getLoaded();
  }

  private static void assertFails(ErrorReason reason, String field, FakeTunnel tunnel) {
    TunnelFailure failure = tunnel.awaitEnd().orElseThrow();
    assertEquals(reason.name(), failure.getReason(), failure::toString);
    assertEquals(field, failure.getField(), failure::toString);
  }

  private void assertNothingIsLeft() {
    await().until(() -> filesIn(archives()) == 0);
  }

  private static long filesIn(Path directory) throws IOException {
    if (!Files.isDirectory(directory)) {
      return 0;
    }
    try (Stream<Path> files = Files.list(directory)) {
      return files.count();
    }
  }

  private static String says(String json) {
    return "echo '%s'; exit 1".formatted(json);
  }

  private static String refusing(String reason) {
    return says("{\"error\": {\"reason\": \"%s\", \"message\": \"why\"}}".formatted(reason));
  }

  @Test
  void anArchiveIsHandedToTheProgramWholeAndGoesOnceItsImageIsThere() throws Exception {
    putImage("tool:1");
    ImageCalls calls =
        calls(
            """
            file=${2#archive:}
            cat "${file%%:which}" > %1$s/seen
            echo "$@" > %1$s/arguments
            echo '{"phase": "read", "doneBytes": 5}'
            echo '{"image": "%2$s", "name": "docker.io/library/tool:1"}'
            """
                .formatted(directory, ID));
    FakeTunnel tunnel =
        begin(calls, start().setImageName("tool:1").setArchiveImage("which").setSizeBytes(8));
    send(tunnel, "arc");
    send(tunnel, "hive!");
    tunnel.halfClose();

    ContainerImageLoaded loaded = loaded(tunnel);
    assertEquals(ID.toString(), loaded.getImage().getId());
    assertEquals(List.of("docker.io/library/tool:1"), loaded.getImage().getNamesList());
    assertEquals("docker.io/library/tool:1", loaded.getImageName());
    assertEquals(8, loaded.getImage().getRootBytes());
    assertTrue(loaded.getExisted());
    assertTrue(tunnel.awaitEnd().isEmpty());
    assertEquals("archive!", Files.readString(directory.resolve("seen")));
    String arguments = Files.readString(directory.resolve("arguments"));
    assertTrue(
        arguments.endsWith(
            ":which --arch x86_64 --as docker.io/library/tool:1 --container-dir %s --progress json%n"
                .formatted(cacheDirectory())),
        arguments);
    assertNothingIsLeft();
  }

  @Test
  void whatTheProgramSaysIsTheReason() {
    record Case(String said, ErrorReason reason, String field) {}

    for (Case each :
        List.of(
            new Case("LAYER_INVALID", ErrorReason.CONTAINER_IMAGE_INVALID, "data"),
            new Case("DIGEST_MISMATCH", ErrorReason.CONTAINER_IMAGE_INVALID, "data"),
            new Case("ARCHITECTURE_MISSING", ErrorReason.CONTAINER_IMAGE_INVALID, "data"),
            new Case("MANIFEST_INVALID", ErrorReason.CONTAINER_IMAGE_INVALID, "data"),
            new Case("IMAGE_UNKNOWN", ErrorReason.CONTAINER_IMAGE_INVALID, "start.archive_image"),
            new Case("NAME_INVALID", ErrorReason.CONTAINER_IMAGE_INVALID, "start.image_name"),
            new Case("DISK_FULL", ErrorReason.NODE_DISK_FULL, ""),
            new Case("HOST_UNSUPPORTED", ErrorReason.CONTAINER_IMAGE_UNAVAILABLE, ""),
            new Case("OUT_OF_MEMORY", ErrorReason.CONTAINER_IMAGE_UNAVAILABLE, ""))) {
      FakeTunnel tunnel = begin(calls(refusing(each.said())), start());
      send(tunnel, "x");
      tunnel.halfClose();
      assertFails(each.reason(), each.field(), tunnel);
      assertNothingIsLeft();
    }
  }

  @Test
  void aPathOfTheNodeIsNotTold() {
    FakeTunnel tunnel =
        begin(
            calls(
                """
                echo "{\\"error\\": {\\"reason\\": \\"MANIFEST_INVALID\\", \\"message\\": \\"${2#archive:} is bad\\"}}"
                exit 1
                """),
            start());
    tunnel.halfClose();
    assertEquals("the archive is bad", tunnel.awaitEnd().orElseThrow().getMessage());
  }

  @Test
  void anArchiveThatEndsBeforeItsEndIsNotMadeIntoAnything() {
    FakeTunnel tunnel =
        begin(calls("touch %s".formatted(directory.resolve("ran"))), start().setSizeBytes(5));
    send(tunnel, "1234");
    tunnel.halfClose();
    assertFails(ErrorReason.CONTAINER_IMAGE_INVALID, "data", tunnel);
    assertFalse(Files.exists(directory.resolve("ran")));
    assertNothingIsLeft();
  }

  @Test
  void aClientThatGoesHalfWayLeavesNothing() throws Exception {
    FakeTunnel tunnel = begin(calls("exit 9"), start());
    send(tunnel, "half of it");
    await().until(() -> filesIn(archives()) == 1);
    tunnel.go();
    assertNothingIsLeft();
  }

  @Test
  void aClientThatGoesWhileItsImageIsMadeHasTheProgramStopped() throws Exception {
    Path begun = directory.resolve("begun");
    Path stopped = directory.resolve("stopped");
    FakeTunnel tunnel =
        begin(
            calls(
                """
                trap 'echo > %s; exit 1' TERM
                echo > %s
                while :; do sleep 0.05; done
                """
                    .formatted(stopped, begun)),
            start());
    tunnel.halfClose();
    await().until(() -> Files.exists(begun));
    assertEquals(1, filesIn(archives()));
    tunnel.go();
    await().until(() -> Files.exists(stopped));
    assertNothingIsLeft();
  }

  @Test
  void aSessionThatEndsEndsThemAll() throws Exception {
    ImageCalls calls = calls("exit 9");
    FakeTunnel tunnel = begin(calls, start());
    send(tunnel, "half of it");
    await().until(() -> filesIn(archives()) == 1);
    calls.endAll();
    assertNothingIsLeft();
  }

  @Test
  void aClientThatSaysNothingMoreIsNotWaitedForWithoutEnd() {
    FakeTunnel tunnel = begin(calls("exit 9"), start());
    send(tunnel, "half of it");
    await()
        .until(() -> {
          time.pass(ImageLoad.STALLED); // Perhaps before it waits for more.
          return tunnel.hasEnded();
        });
    assertFails(ErrorReason.ARCHIVE_STALLED, "", tunnel);
    tunnel.go(); // As the transport does once the call has ended.
    assertNothingIsLeft();
  }

  @Test
  void whatHasNoRoomIsRefusedBeforeItComesOrAsItComes() throws Exception {
    ImageCalls calls = calls("exit 9");
    FakeTunnel announced = begin(calls, start().setSizeBytes(GIBIBYTE));
    assertFails(ErrorReason.NODE_DISK_FULL, "", announced);

    FakeTunnel growing = begin(calls, start());
    String mebibyte = "x".repeat(1 << 20);
    for (int i = 0; i < 3; i++) {
      send(growing, mebibyte);
    }
    await().until(() -> filesIn(archives()) == 1);
    free.set(ArchiveDirectory.KEPT_FREE_BYTES);
    for (int i = 0; i < 3; i++) {
      send(growing, mebibyte);
    }
    assertFails(ErrorReason.NODE_DISK_FULL, "", growing);
    assertNothingIsLeft();
  }

  @Test
  void anImageThatHasNoRoomBesideItsArchiveIsNotMade() {
    FakeTunnel tunnel = begin(calls("exit 9"), start());
    send(tunnel, "an archive");
    await().until(() -> filesIn(archives()) == 1);
    free.set(ArchiveDirectory.KEPT_FREE_BYTES + 1);
    tunnel.halfClose();
    assertFails(ErrorReason.NODE_DISK_FULL, "", tunnel);
    assertNothingIsLeft();
  }

  @Test
  void imagesAreMadeOneAtATimeAndTheOthersAreToldThatTheyWait() throws Exception {
    putImage("tool");
    Path go = directory.resolve("go");
    ImageCalls calls =
        calls(
            """
            mkdir %1$s/alone || exit 9
            while [ ! -e %2$s ]; do sleep 0.05; done
            rmdir %1$s/alone
            echo '{"image": "%3$s", "name": "x"}'
            """
                .formatted(directory, go, ID));
    FakeTunnel first = begin(calls, start());
    first.halfClose();
    await().until(() -> Files.exists(directory.resolve("alone")));
    FakeTunnel second = begin(calls, start());
    second.halfClose();
    for (int i = 0; i < 2; i++) {
      assertEquals(
          Phase.WAITING, second.next().getLoadImage().getProgress().getPhase(), "it is told again");
    }
    Files.createFile(go);
    assertEquals(ID.toString(), loaded(first).getImage().getId());
    assertEquals(ID.toString(), loaded(second).getImage().getId());
  }

  @Test
  void thereAreNoMoreAtATimeThanMayBe() {
    ImageCalls calls = calls("exit 9");
    for (int i = 0; i < ImageCalls.MOST; i++) {
      var _ = begin(calls, start());
    }
    await().until(() -> filesIn(archives()) == ImageCalls.MOST);
    assertFails(ErrorReason.TUNNELS_EXHAUSTED, "", begin(calls, start()));
    calls.endAll();
    assertNothingIsLeft();
  }

  @Test
  void aNameThatIsNoneIsRefusedBeforeAnythingComes() {
    for (String name : List.of("UPPER", "busybox", "--arch")) {
      assertFails(
          ErrorReason.FIELD_INVALID,
          "start.image_name",
          begin(calls("exit 9"), start().setImageName(name)));
    }
  }

  @Test
  void whatAKilledWorkerLeavesGoesWithTheNextStart() throws Exception {
    Files.createDirectories(archives());
    Files.writeString(archives().resolve("archive-1.tar"), "half of it");
    FakeTunnel tunnel = begin(calls("exit 9"), start());
    send(tunnel, "x");
    await().until(() -> filesIn(archives()) == 1);
    assertEquals("x", Files.readString(archives().resolve("archive-1.tar")));
  }

  @Test
  void imagesAreListedAndDeleted() throws Exception {
    putImage("tool:1");
    putImage("tool:2");
    ImageCalls calls = calls("exit 9");
    assertEquals(
        List.of("docker.io/library/tool:1", "docker.io/library/tool:2"),
        answer(calls, list()).getListImages().getImages(0).getNamesList());

    assertFalse(answer(calls, delete("tool:1")).getDeleteImage().getImageRemoved());
    assertTrue(answer(calls, delete("tool:2")).getDeleteImage().getImageRemoved());
    assertEquals(0, answer(calls, list()).getListImages().getImagesCount());
    putImage("tool:1");
    assertTrue(answer(calls, delete(ID.toString())).getDeleteImage().getImageRemoved());

    assertFails(ErrorReason.NODE_IMAGE_NOT_FOUND, "", ask(calls, delete("tool:1")));
    assertFails(ErrorReason.NODE_IMAGE_NOT_FOUND, "", ask(calls, delete(ID.toString())));
    assertFails(ErrorReason.FIELD_INVALID, "image", ask(calls, delete("UPPER")));
  }

  private static TunnelDown.Builder list() {
    return TunnelDown.newBuilder().setListImages(ListContainerImagesRequest.getDefaultInstance());
  }

  private static TunnelDown.Builder delete(String image) {
    return TunnelDown.newBuilder()
        .setDeleteImage(DeleteContainerImageRequest.newBuilder().setImage(image));
  }

  private static FakeTunnel ask(ImageCalls calls, TunnelDown.Builder request) {
    FakeTunnel tunnel = FakeTunnel.reading();
    tunnel.say(request);
    tunnel.halfClose();
    calls.serve(tunnel);
    return tunnel;
  }

  private static TunnelUp answer(ImageCalls calls, TunnelDown.Builder request)
      throws InterruptedException {
    FakeTunnel tunnel = ask(calls, request);
    TunnelUp answer = tunnel.next();
    assertTrue(tunnel.awaitEnd().isEmpty());
    return answer;
  }
}
