package dev.vireo.worker.container;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.images.Architecture;
import dev.vireo.images.container.ContainerImage;
import dev.vireo.images.container.ContainerImageCache;
import dev.vireo.images.container.ImageId;
import dev.vireo.images.container.ImageName;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.ImagePull;
import dev.vireo.worker.boot.RejectedException;
import dev.vireo.worker.time.ManualTime;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a node has, and what it has brought, with a program of the test's that brings it. */
class NodeContainerImagesTest {
  private static final ImageId ID = new ImageId("b".repeat(64));

  @TempDir private Path directory;
  private final ManualTime time = new ManualTime();

  private ContainerImageCache cache() {
    return ContainerImageCache.of(directory.resolve("cache"));
  }

  /** A program that is a shell script. */
  private NodeContainerImages pulledBy(String script) {
    return new NodeContainerImages(
        cache(),
        Architecture.X86_64,
        new PullProgram(List.of("/bin/sh", "-c", script, "sh"), directory.resolve("cache")),
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

  private static ContainerImage get(CompletableFuture<ContainerImage> image) throws Exception {
    return image.get(30, TimeUnit.SECONDS);
  }

  private static RejectedException refusal(CompletableFuture<ContainerImage> image) {
    ExecutionException failed = assertThrows(ExecutionException.class, () -> get(image));
    return assertInstanceOf(RejectedException.class, failed.getCause());
  }

  @Test
  void whatIsHereIsNotPulled() throws Exception {
    putImage("tool");
    NodeContainerImages images = pulledBy("exit 9");
    for (String reference : List.of("tool", "docker.io/library/tool:latest", ID.toString())) {
      assertEquals(ID, get(images.obtain(reference, ImagePull.IMAGE_PULL_IF_MISSING)).id());
    }
    assertEquals(ID, get(images.obtain("tool", ImagePull.IMAGE_PULL_NEVER)).id());
  }

  @Test
  void whatIsMissingIsPulledWithItsArchitectureIntoTheCache() throws Exception {
    NodeContainerImages images =
        pulledBy(
            """
            echo "$@" > %s
            echo '{"phase": "fetch"}'
            echo '{"image": "%s"}'
            """
                .formatted(directory.resolve("arguments"), ID));
    CompletableFuture<ContainerImage> missing =
        images.obtain("host:5000/x", ImagePull.IMAGE_PULL_UNSPECIFIED);
    assertEquals(
        ErrorReason.CONTAINER_IMAGE_NOT_FOUND,
        refusal(missing).reason(),
        "it says that it has brought it");
    assertEquals(
        "pull --registry host:5000/x --arch x86_64 --container-dir %s --progress json%n"
            .formatted(directory.resolve("cache")),
        Files.readString(directory.resolve("arguments")));

    putImage("other");
    assertEquals(ID, get(images.obtain("other", ImagePull.IMAGE_PULL_ALWAYS)).id());
  }

  @Test
  void whatIsBrokenHereIsPulledAgain() throws Exception {
    putImage("tool");
    Path properties = directory.resolve("cache/sha256-" + ID.hex() + "/image.properties");
    Path whole = Files.copy(properties, directory.resolve("whole"));
    NodeContainerImages images =
        pulledBy("cp %s %s; echo '{\"image\": \"%s\"}'".formatted(whole, properties, ID));
    for (ImagePull pull : List.of(ImagePull.IMAGE_PULL_ALWAYS, ImagePull.IMAGE_PULL_IF_MISSING)) {
      Files.writeString(properties, "");
      assertEquals(
          ErrorReason.CONTAINER_IMAGE_INVALID,
          refusal(images.obtain("tool", ImagePull.IMAGE_PULL_NEVER)).reason());
      assertEquals(
          ErrorReason.CONTAINER_IMAGE_INVALID,
          refusal(images.obtain(ID.toString(), pull)).reason());
      assertEquals(ID, get(images.obtain("tool", pull)).id());
    }
  }

  @Test
  void whatTheProgramSaysIsTheReason() {
    NodeContainerImages images =
        pulledBy(
            """
            echo '{"error": {"reason": "LAYER_INVALID", "message": "layer 2 has ../x"}}'
            exit 1
            """);
    RejectedException refused = refusal(images.obtain("x", ImagePull.IMAGE_PULL_ALWAYS));
    assertEquals(ErrorReason.CONTAINER_IMAGE_INVALID, refused.reason());
    assertEquals("spec.container.image", refused.field());
    assertEquals("image \"x\": layer 2 has ../x", refused.sentence());
  }

  @Test
  void aProgramThatBreaksMayBeTriedAgain() {
    NodeContainerImages images = pulledBy("echo 'out of memory' >&2; exit 3");
    RejectedException refused = refusal(images.obtain("x", ImagePull.IMAGE_PULL_IF_MISSING));
    assertEquals(ErrorReason.CONTAINER_IMAGE_UNAVAILABLE, refused.reason());
    assertTrue(refused.sentence().contains("status 3: out of memory"), refused.sentence());
  }

  @Test
  void whatIsNeverToBePulledIsMissing() {
    NodeContainerImages images = pulledBy("exit 9");
    assertEquals(
        ErrorReason.CONTAINER_IMAGE_NOT_FOUND,
        refusal(images.obtain("x", ImagePull.IMAGE_PULL_NEVER)).reason());
    assertEquals(
        ErrorReason.CONTAINER_IMAGE_NOT_FOUND,
        refusal(images.obtain(ID.toString(), ImagePull.IMAGE_PULL_ALWAYS)).reason());
    assertEquals(
        ErrorReason.CONTAINER_IMAGE_INVALID,
        refusal(images.obtain("UPPER", ImagePull.IMAGE_PULL_IF_MISSING)).reason());
  }

  @Test
  void aPullThatNobodyWaitsForIsStopped() throws Exception {
    Path stopped = directory.resolve("stopped");
    NodeContainerImages images =
        pulledBy(
            """
            trap 'echo > %1$s; exit 1' TERM
            echo > %2$s
            while [ -e %2$s ]; do sleep 0.05; done
            """
                .formatted(stopped, directory.resolve("begun")));
    CompletableFuture<ContainerImage> image = images.obtain("x", ImagePull.IMAGE_PULL_IF_MISSING);
    awaitFile(directory.resolve("begun"));
    image.cancel(false);
    awaitFile(stopped);
  }

  @Test
  void thoseWhoWantTheSameShareOnePull() throws Exception {
    NodeContainerImages images = pulledBy(startedAndHeld());
    putImage("other");
    List<CompletableFuture<ContainerImage>> all = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      String name = i % 2 == 0 ? "x" : "docker.io/library/x:latest";
      all.add(images.obtain(name, ImagePull.IMAGE_PULL_IF_MISSING));
    }
    await().until(() -> starts().size() == 1);
    Files.createFile(directory.resolve("go"));
    for (CompletableFuture<ContainerImage> one : all) {
      assertEquals(ID, get(one).id());
    }
    assertEquals(1, starts().size());
    assertEquals(ID, get(images.obtain("x", ImagePull.IMAGE_PULL_ALWAYS)).id());
    assertEquals(2, starts().size(), "the next is another pull");
  }

  @Test
  void whatIsMoreThanMayRunAtATimeWaitsForItsTurn() throws Exception {
    NodeContainerImages images = pulledBy(startedAndHeld());
    putImage("other");
    List<CompletableFuture<ContainerImage>> all = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      all.add(images.obtain("x" + i, ImagePull.IMAGE_PULL_IF_MISSING));
    }
    CompletableFuture<ContainerImage> unwanted =
        images.obtain("unwanted", ImagePull.IMAGE_PULL_IF_MISSING);
    await().until(() -> starts().size() == 2);
    unwanted.cancel(false);
    Files.createFile(directory.resolve("go"));
    for (CompletableFuture<ContainerImage> one : all) {
      assertEquals(ID, get(one).id());
    }
    assertEquals(List.of("x0", "x1", "x2", "x3", "x4", "x5"), starts().stream().sorted().toList());
    assertEquals(List.of(), Files.readAllLines(directory.resolve("too-many")));
  }

  @Test
  void aSharedPullStopsWithTheLastWhoWaitsForIt() throws Exception {
    NodeContainerImages images = pulledBy(startedAndHeld());
    CompletableFuture<ContainerImage> one = images.obtain("x", ImagePull.IMAGE_PULL_IF_MISSING);
    CompletableFuture<ContainerImage> two = images.obtain("x", ImagePull.IMAGE_PULL_IF_MISSING);
    await().until(() -> starts().size() == 1);
    one.cancel(false);
    await().during(Duration.ofMillis(200)).until(() -> !Files.exists(directory.resolve("stopped")));
    two.cancel(false);
    awaitFile(directory.resolve("stopped"));
  }

  @Test
  void aPullThatTakesLongIsEndedWhenAnotherWaits() throws Exception {
    NodeContainerImages images = pulledBy(startedAndSlow());
    putImage("other");
    CompletableFuture<ContainerImage> one = images.obtain("one", ImagePull.IMAGE_PULL_IF_MISSING);
    await().until(() -> starts().equals(List.of("one")));
    time.pass(Duration.ofSeconds(1));
    CompletableFuture<ContainerImage> two = images.obtain("two", ImagePull.IMAGE_PULL_IF_MISSING);
    CompletableFuture<ContainerImage> three =
        images.obtain("three", ImagePull.IMAGE_PULL_IF_MISSING);
    await().until(() -> starts().size() == 2);
    time.pass(SharedPulls.LONGEST_TURN.minusSeconds(2));
    assertFalse(one.isDone());

    time.pass(Duration.ofSeconds(1));
    RejectedException refused = refusal(one);
    assertEquals(ErrorReason.CONTAINER_IMAGE_UNAVAILABLE, refused.reason());
    assertTrue(refused.sentence().contains("others waited"), refused.sentence());
    await().until(() -> starts().equals(List.of("one", "two", "three")));
    time.pass(SharedPulls.LONGEST_TURN);
    Files.createFile(directory.resolve("go"));
    assertEquals(ID, get(two).id(), "nobody waited any more");
    assertEquals(ID, get(three).id());
    assertEquals(0, time.alarms());
  }

  @Test
  void whoComesToPullsThatTakeLongEndsOneOfThem() throws Exception {
    NodeContainerImages images = pulledBy(startedAndSlow());
    putImage("other");
    CompletableFuture<ContainerImage> one = images.obtain("one", ImagePull.IMAGE_PULL_IF_MISSING);
    CompletableFuture<ContainerImage> two = images.obtain("two", ImagePull.IMAGE_PULL_IF_MISSING);
    await().until(() -> starts().size() == 2);
    time.pass(SharedPulls.LONGEST_TURN.multipliedBy(2));
    CompletableFuture<ContainerImage> three =
        images.obtain("three", ImagePull.IMAGE_PULL_IF_MISSING);
    assertEquals(ErrorReason.CONTAINER_IMAGE_UNAVAILABLE, refusal(one).reason());
    await().until(() -> starts().size() == 3);
    Files.createFile(directory.resolve("go"));
    assertEquals(ID, get(two).id());
    assertEquals(ID, get(three).id());
  }

  @Test
  void aPullThatCannotBeStartedIsRefusedAndHoldsUpNoOther() {
    NodeContainerImages images =
        new NodeContainerImages(
            cache(),
            Architecture.X86_64,
            new PullProgram(List.of("/no/such/program"), directory.resolve("cache")),
            time);
    for (int i = 0; i < 4; i++) {
      RejectedException refused = refusal(images.obtain("x", ImagePull.IMAGE_PULL_IF_MISSING));
      assertEquals(ErrorReason.CONTAINER_IMAGE_UNAVAILABLE, refused.reason());
      assertTrue(refused.sentence().contains("/no/such/program"), refused.sentence());
    }
  }

  /** Notes its start, and whether it is the third at a time; waits until it may go on. */
  private String startedAndHeld() throws Exception {
    Files.createDirectory(directory.resolve("running"));
    Files.createFile(directory.resolve("starts"));
    Files.createFile(directory.resolve("too-many"));
    return """
    cd %s
    trap 'echo > stopped; exit 1' TERM
    echo > running/$$
    echo "$3" >> starts
    set -- running/*
    [ $# -le 2 ] || echo $# >> too-many
    while [ -d running ] && ! [ -e go ]; do sleep 0.05; done
    sleep 0.1
    rm running/$$
    echo '{"image": "%s"}'
    """
        .formatted(directory, ID);
  }

  /** Notes its start, and that it goes on, until it may end. */
  private String startedAndSlow() throws Exception {
    Files.createFile(directory.resolve("starts"));
    return """
    cd %s
    trap 'exit 1' TERM
    echo "$3" >> starts
    while [ -e starts ] && ! [ -e go ]; do
      echo '{"phase": "fetch", "doneBytes": 1}'
      sleep 0.05
    done
    echo '{"image": "%s"}'
    """
        .formatted(directory, ID);
  }

  private List<String> starts() throws Exception {
    return Files.readAllLines(directory.resolve("starts"));
  }

  private static void awaitFile(Path file) {
    await().until(() -> Files.exists(file));
  }
}
