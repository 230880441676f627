package dev.vireo.cli.local;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.cli.CommandException;
import dev.vireo.cli.Environment;
import dev.vireo.cli.ExitCode;
import io.grpc.inprocess.InProcessChannelBuilder;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * How the daemons of this machine fail to start. How they do start is the system tests' to tell.
 */
class LocalVireoTest {
  @TempDir private Path state = Path.of("");
  @TempDir private Path sourceTree = Path.of("");

  private final PrintStream output =
      new PrintStream(new ByteArrayOutputStream(), true, StandardCharsets.UTF_8);

  @Test
  void saysHowToGetWhatHasNotBeenBuilt() {
    try (LocalVireo vireo = vireo()) {
      CommandException error =
          assertThrows(CommandException.class, () -> vireo.startController(freePorts()));
      assertEquals("controller/quarkus-run.jar has not been built", error.problem());
    }
  }

  @Test
  void quotesTheLastWordsOfADaemonThatDoesNotStart() throws IOException {
    buildController("no jar at all");
    try (LocalVireo vireo = vireo()) {
      CommandException error =
          assertThrows(CommandException.class, () -> vireo.startController(freePorts()));

      assertEquals(ExitCode.FAILED, error.exitCode());
      assertTrue(error.problem().contains("corrupt jarfile"), error.problem());
      assertTrue(error.remedy().contains("daemons/controller/log"), error.remedy());
    }
  }

  @Test
  void namesThePortThatIsTaken() throws IOException {
    buildController("never run");
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        LocalVireo vireo = vireo()) {
      LocalVireo.Ports ports = new LocalVireo.Ports(freePort(), taken.getLocalPort());
      CommandException error =
          assertThrows(CommandException.class, () -> vireo.startController(ports));

      assertEquals(ExitCode.REFUSED, error.exitCode());
      assertEquals(
          "port %d of 127.0.0.1 is taken by another program".formatted(taken.getLocalPort()),
          error.problem());
    }
  }

  @Test
  void anotherStoreThanTheLastTimeIsRefused() throws IOException {
    try (LocalVireo vireo = vireo()) {
      Files.writeString(state.resolve("daemons/store"), "etcd");
      CommandException error =
          assertThrows(
              CommandException.class,
              () -> vireo.startControlPlane(freePorts(), asked(StoreKind.SQLITE, 1)));

      assertEquals(ExitCode.REFUSED, error.exitCode());
      assertTrue(
          error.remedy().contains("vireo store migrate --from etcd --to sqlite"), error.remedy());
    }
  }

  @Test
  void severalControllersNeedAnEtcd() {
    try (LocalVireo vireo = vireo()) {
      CommandException error =
          assertThrows(
              CommandException.class,
              () -> vireo.startControlPlane(freePorts(), asked(StoreKind.SQLITE, 3)));

      assertEquals(ExitCode.USAGE, error.exitCode());
      assertTrue(error.remedy().contains("--store etcd"), error.remedy());
    }
  }

  @Test
  void aControllerThatIsMissingComesBackBesideTheOthers() throws IOException {
    pretendToRun("controller");
    try (LocalVireo vireo = vireo()) {
      Files.writeString(state.resolve("daemons/store"), "etcd");
      CommandException error =
          assertThrows(
              CommandException.class,
              () -> vireo.startControlPlane(freePorts(), asked(StoreKind.ETCD, 2)));

      assertEquals(ExitCode.REFUSED, error.exitCode());
      assertTrue(error.problem().contains("--port 7420"), error.problem());
    } finally {
      Leftovers.of(state).forEach(ProcessHandle::destroyForcibly);
    }
  }

  @Test
  void anEtcdKeepsItsMembers() throws IOException {
    try (LocalVireo vireo = vireo()) {
      Files.writeString(state.resolve("daemons/etcd-members"), "1 2\n3 4\n5 6");
      CommandException error =
          assertThrows(
              CommandException.class,
              () ->
                  vireo.startControlPlane(
                      freePorts(),
                      new LocalVireo.ControlPlane(
                          Optional.of(StoreKind.ETCD), Optional.of(3), Optional.of(1))));

      assertEquals(ExitCode.REFUSED, error.exitCode());
      assertTrue(error.problem().contains("3 members, not 1"), error.problem());
    }
  }

  private static LocalVireo.ControlPlane asked(StoreKind store, int controllers) {
    return new LocalVireo.ControlPlane(
        Optional.of(store), Optional.of(controllers), Optional.empty());
  }

  @Test
  void aStoreInUseIsNotMoved() throws IOException {
    pretendToRun("controller");
    try (LocalVireo vireo = vireo()) {
      CommandException error =
          assertThrows(
              CommandException.class, () -> vireo.migrateStore(StoreKind.SQLITE, StoreKind.ETCD));

      assertEquals(ExitCode.REFUSED, error.exitCode());
    } finally {
      Leftovers.of(state).forEach(ProcessHandle::destroyForcibly);
    }
  }

  @Test
  void stateDirectoryIsOneCommandsAtATime() {
    try (LocalVireo first = vireo()) {
      assertTrue(first.down().isEmpty());
      CommandException error = assertThrows(CommandException.class, this::vireo);
      assertEquals(ExitCode.REFUSED, error.exitCode());
    }
    vireo().close();
  }

  @Test
  void whatRunsIsACopyThatARebuildDoesNotTouch() throws IOException {
    buildController("first");
    Programs first = Programs.install(sourceTree, state);
    assertEquals(first, Programs.install(sourceTree, state), "copied once");

    buildController("second build");
    Programs second = Programs.install(sourceTree, state);

    assertNotEquals(first, second);
    assertEquals(
        "first", Files.readString(first.directory().resolve("controller/quarkus-run.jar")));
    assertEquals(
        Files.getLastModifiedTime(controllerJar()),
        Files.getLastModifiedTime(second.directory().resolve("controller/quarkus-run.jar")));
  }

  @Test
  void whatIsAbandonedIsStoppedAndNothingMoreIsStarted() throws IOException {
    Path emulatedNode = sourceTree.resolve("ops/emulated-node/target/emulated-node/lib");
    Files.createDirectories(emulatedNode);
    buildController("never run");
    pretendToRun("controller");
    try (LocalVireo vireo = vireo()) {
      vireo.launchEmulatedNode("n", "x86_64", Map.of());
      vireo.abandon();

      assertFalse(Files.exists(state.resolve("daemons/emulated-node-n/process")));
      assertTrue(Files.exists(state.resolve("daemons/controller/process")), "another's");
      CommandException error =
          assertThrows(
              CommandException.class, () -> vireo.launchEmulatedNode("m", "x86_64", Map.of()));
      assertEquals(ExitCode.INTERRUPTED, error.exitCode());
    } finally {
      Leftovers.of(state).forEach(ProcessHandle::destroyForcibly);
    }
  }

  @Test
  void downOfNothingIsNothing() {
    try (LocalVireo vireo = vireo()) {
      assertTrue(vireo.down().isEmpty());
      assertFalse(Files.exists(state.resolve("programs")));
    }
  }

  /** A daemon of this name that another command has started. */
  private void pretendToRun(String name) throws IOException {
    new Daemon(state.resolve("daemons"), name).start(List.of("sleep", "1000"), Map.of());
    Files.writeString(state.resolve("daemons/controller-port"), "7420");
  }

  private void buildController(String content) throws IOException {
    Files.createDirectories(controllerJar().getParent());
    Files.writeString(controllerJar(), content);
  }

  private static LocalVireo.Ports freePorts() {
    return new LocalVireo.Ports(freePort(), freePort());
  }

  private static int freePort() {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private Path controllerJar() {
    return sourceTree.resolve("controller/target/controller/quarkus-run.jar");
  }

  private LocalVireo vireo() {
    Environment environment =
        new Environment(
            output,
            output,
            false,
            Clock.systemUTC(),
            Map.of("HOME", state.toString()),
            address -> InProcessChannelBuilder.forName("nobody").build());
    return new LocalVireo(environment, state, sourceTree, new Progress(output));
  }
}
