package dev.vireo.worker.container;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
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
import java.nio.file.Files;
import java.nio.file.Path;
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

  private ContainerImageCache cache() {
    return ContainerImageCache.of(directory.resolve("cache"));
  }

  /** A program that is a shell script. */
  private NodeContainerImages pulledBy(String script) {
    return new NodeContainerImages(
        cache(),
        Architecture.X86_64,
        new PullProgram(List.of("/bin/sh", "-c", script, "sh"), directory.resolve("cache")));
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
            trap 'echo > %s; exit 1' TERM
            echo > %s
            while :; do sleep 0.05; done
            """
                .formatted(stopped, directory.resolve("begun")));
    CompletableFuture<ContainerImage> image = images.obtain("x", ImagePull.IMAGE_PULL_IF_MISSING);
    awaitFile(directory.resolve("begun"));
    image.cancel(false);
    awaitFile(stopped);
  }

  private static void awaitFile(Path file) {
    await().until(() -> Files.exists(file));
  }
}
