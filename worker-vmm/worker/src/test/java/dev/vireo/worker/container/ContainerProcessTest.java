package dev.vireo.worker.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.vireo.images.Architecture;
import dev.vireo.images.container.ContainerImage;
import dev.vireo.images.container.ImageId;
import dev.vireo.proto.agent.v1.ExecRequest;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.Container;
import dev.vireo.worker.boot.RejectedException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** What a process is started with, by what its spec and its image say. */
class ContainerProcessTest {
  private static ContainerImage image(
      List<String> entrypoint, List<String> command, String... environment) {
    return new ContainerImage(
        new ImageId("a".repeat(64)),
        Path.of("/root.squashfs"),
        1,
        new ContainerImage.Settings(
            Architecture.X86_64,
            entrypoint,
            command,
            List.of(environment),
            "app:app",
            "/srv",
            List.of(),
            "",
            Optional.empty()));
  }

  private static List<String> command(Container.Builder container, ContainerImage image)
      throws RejectedException {
    return ContainerProcess.of(container.build(), image).getArgumentsList();
  }

  @Test
  void theImagesEntryPointComesBeforeItsArgumentsOrOurs() throws Exception {
    ContainerImage image = image(List.of("/entry", "-v"), List.of("serve"));
    assertEquals(List.of("/entry", "-v", "serve"), command(Container.newBuilder(), image));
    assertEquals(
        List.of("/entry", "-v", "test"),
        command(Container.newBuilder().addArguments("test"), image));
  }

  @Test
  void withAnEntryPointOfOursTheImagesArgumentsDoNotCount() throws Exception {
    ContainerImage image = image(List.of("/entry"), List.of("serve"));
    Container.Builder own = Container.newBuilder().addEntrypoint("/bin/sh");
    assertEquals(List.of("/bin/sh"), command(own, image));
    assertEquals(List.of("/bin/sh", "-c"), command(own.addArguments("-c"), image));
  }

  @Test
  void withoutAnyProgramItIsRefused() {
    RejectedException refused =
        assertThrows(
            RejectedException.class,
            () -> command(Container.newBuilder().setImage("void"), image(List.of(), List.of())));
    assertEquals(ErrorReason.CONTAINER_IMAGE_INVALID, refused.reason());
    assertEquals("spec.container.arguments", refused.field());
  }

  @Test
  void whatTheSpecSaysGoesOverWhatTheImageSays() throws Exception {
    ContainerImage image = image(List.of("/entry"), List.of(), "PATH=/bin", "MODE=a=b", "X=1");
    ExecRequest process =
        ContainerProcess.of(
            Container.newBuilder()
                .putEnvironment("MODE", "test")
                .putEnvironment("A", "")
                .setUser("1000")
                .build(),
            image);
    assertEquals(List.of("PATH=/bin", "X=1", "A=", "MODE=test"), process.getEnvironmentList());
    assertEquals("1000", process.getUser());
    assertEquals("/srv", process.getWorkingDirectory());
    ExecRequest plain = ContainerProcess.of(Container.getDefaultInstance(), image);
    assertEquals("app:app", plain.getUser());
    assertEquals(List.of("PATH=/bin", "MODE=a=b", "X=1"), plain.getEnvironmentList());
  }
}
