package dev.vireo.cli.local;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.cli.CommandException;
import dev.vireo.cli.Environment;
import dev.vireo.cli.ExitCode;
import dev.vireo.cli.ServerAddress;
import dev.vireo.proto.v1.ListNodesRequest;
import dev.vireo.proto.v1.ListNodesResponse;
import dev.vireo.proto.v1.NodeServiceGrpc;
import io.grpc.Server;
import io.grpc.inprocess.InProcessChannelBuilder;
import io.grpc.inprocess.InProcessServerBuilder;
import io.grpc.stub.StreamObserver;
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
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.spi.ToolProvider;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * How the daemons of this machine fail to start. How they do start is the system tests' to tell.
 */
class LocalVireoTest {
  @TempDir private Path state = Path.of("");
  @TempDir private Path sourceTree = Path.of("");

  private static final String THEIRS = "http://a:2379,http://b:2379";

  private static final LocalVireo.ControlPlane AS_BEFORE =
      new LocalVireo.ControlPlane(Optional.empty(), Optional.empty(), Optional.empty());

  private final PrintStream output =
      new PrintStream(new ByteArrayOutputStream(), true, StandardCharsets.UTF_8);

  /** Answers for any controller. */
  private @Nullable Server controller;

  /** Ports of controllers that do not answer. */
  private final Set<Integer> silent = new HashSet<>();

  @AfterEach
  void stop() {
    if (controller != null) {
      controller.shutdownNow();
    }
    Leftovers.of(state).forEach(ProcessHandle::destroyForcibly);
  }

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
  void theEnvironmentsStoreIsTakenAndRemembered() throws IOException {
    buildPrograms();
    Map<String, String> etcd = Map.of("VIREO_STORE", "etcd", "VIREO_ETCD_ENDPOINTS", THEIRS);
    try (LocalVireo vireo = vireo(etcd)) {
      vireo.startControlPlane(freePorts(), AS_BEFORE);

      assertControllerSays("store etcd at null");
      assertFalse(Files.exists(state.resolve("daemons/etcd-members")), "an etcd of our own");
      assertEquals("etcd " + THEIRS, Files.readString(state.resolve("daemons/store")));
      vireo.down();
    }
    try (LocalVireo vireo = vireo()) {
      assertRemedy(() -> vireo.startControlPlane(freePorts(), AS_BEFORE), "=" + THEIRS);
    }
    try (LocalVireo vireo = vireo(Map.of("VIREO_ETCD_ENDPOINTS", "http://other:2379"))) {
      assertRemedy(() -> vireo.startControlPlane(freePorts(), AS_BEFORE), "=" + THEIRS);
      assertRemedy(
          () -> vireo.migrateStore(StoreKind.ETCD, StoreKind.SQLITE, Optional.empty()),
          "=" + THEIRS);
    }
    try (LocalVireo vireo = vireo(Map.of("VIREO_ETCD_ENDPOINTS", THEIRS))) {
      vireo.startControlPlane(freePorts(), AS_BEFORE);
      vireo.down();
    }
  }

  @Test
  void theEnvironmentsPrefixIsRememberedToo() throws IOException {
    buildPrograms();
    Map<String, String> mine =
        Map.of(
            "VIREO_STORE", "etcd", "VIREO_ETCD_ENDPOINTS", THEIRS, "VIREO_ETCD_PREFIX", "/mine/");
    try (LocalVireo vireo = vireo(mine)) {
      vireo.startControlPlane(freePorts(), AS_BEFORE);
      vireo.down();
    }
    try (LocalVireo vireo = vireo(Map.of("VIREO_ETCD_ENDPOINTS", THEIRS))) {
      assertRemedy(
          () -> vireo.startControlPlane(freePorts(), AS_BEFORE), "VIREO_ETCD_PREFIX=/mine/");
      assertRemedy(
          () -> vireo.migrateStore(StoreKind.ETCD, StoreKind.SQLITE, Optional.empty()),
          "VIREO_ETCD_PREFIX=/mine/");
    }
    try (LocalVireo vireo = vireo(mine)) {
      vireo.startControlPlane(freePorts(), AS_BEFORE);
      vireo.down();
    }
  }

  @Test
  void aFileOfBeforeIsAboutTheUsualPrefix() throws IOException {
    buildPrograms();
    Map<String, String> mine =
        Map.of("VIREO_ETCD_ENDPOINTS", THEIRS, "VIREO_ETCD_PREFIX", "/mine/");
    try (LocalVireo vireo = vireo(mine)) {
      Files.writeString(state.resolve("daemons/store"), "etcd " + THEIRS);
      assertRemedy(() -> vireo.startControlPlane(freePorts(), AS_BEFORE), "second line");

      Files.writeString(state.resolve("daemons/store"), "etcd " + THEIRS + "\n/mine/\n");
      vireo.startControlPlane(freePorts(), AS_BEFORE);
      vireo.down();
    }
    Files.writeString(state.resolve("daemons/store"), "etcd " + THEIRS);
    Map<String, String> usual =
        Map.of("VIREO_ETCD_ENDPOINTS", THEIRS, "VIREO_ETCD_PREFIX", "/vireo/");
    try (LocalVireo vireo = vireo(usual)) {
      vireo.startControlPlane(freePorts(), AS_BEFORE);
      vireo.down();
    }
  }

  @Test
  void theStoreIsRememberedWhenOneOfItsControllersIsOfUse() throws IOException {
    buildPrograms();
    LocalVireo.Ports ports = freePortsOfTwo();
    silent.add(ports.grpc() + 2);
    try (LocalVireo vireo = vireo(Map.of("VIREO_ETCD_ENDPOINTS", THEIRS), Duration.ZERO)) {
      CommandException error =
          assertThrows(
              CommandException.class,
              () -> vireo.startControlPlane(ports, asked(StoreKind.ETCD, 2)));

      assertEquals(ExitCode.TIMED_OUT, error.exitCode());
      assertTrue(new Daemon(state.resolve("daemons"), "controller").isRunning());
      assertEquals("etcd " + THEIRS, Files.readString(state.resolve("daemons/store")));
      vireo.down();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "etcd http://before:2379"})
  void aStartThatFailsWhollyHasChosenNoStore(String before) throws IOException {
    buildPrograms();
    Path file = state.resolve("daemons/store");
    LocalVireo.Ports ports = freePorts();
    silent.add(ports.grpc());
    Map<String, String> etcd =
        before.isEmpty()
            ? Map.of("VIREO_STORE", "etcd", "VIREO_ETCD_ENDPOINTS", "http://typo:2379")
            : Map.of("VIREO_ETCD_ENDPOINTS", "http://before:2379");
    try (LocalVireo vireo = vireo(etcd, Duration.ZERO)) {
      if (!before.isEmpty()) {
        Files.writeString(file, before);
      }
      assertThrows(CommandException.class, () -> vireo.startControlPlane(ports, AS_BEFORE));

      assertEquals(before, Files.exists(file) ? Files.readString(file) : "");
    }
  }

  @Test
  void aStartOfWhichNoControllerIsOfUseLeavesNone() throws IOException {
    buildPrograms();
    LocalVireo.Ports ports = freePortsOfTwo();
    silent.add(ports.grpc());
    silent.add(ports.grpc() + 2);
    try (LocalVireo vireo = vireo(Map.of("VIREO_ETCD_ENDPOINTS", THEIRS), Duration.ZERO)) {
      assertThrows(
          CommandException.class, () -> vireo.startControlPlane(ports, asked(StoreKind.ETCD, 2)));

      assertFalse(new Daemon(state.resolve("daemons"), "controller-2").isRunning());
      assertFalse(Files.exists(state.resolve("daemons/store")));
    }
  }

  /** By Ctrl-C, say, which leaves no time for more. */
  @Test
  void aStartThatWasCutOffHasChosenNoStoreEither() throws IOException {
    buildPrograms();
    try (LocalVireo vireo = vireo()) {
      Files.writeString(state.resolve("daemons/store"), "etcd http://typo:2379");
      Files.writeString(state.resolve("daemons/store.before"), "");

      vireo.startControlPlane(freePorts(), AS_BEFORE);

      assertControllerSays("store sqlite at null");
      assertFalse(Files.exists(state.resolve("daemons/store.before")));
      vireo.down();
    }
  }

  @Test
  void aStartThatWasCutOffHasChosenItsStoreIfAControllerRuns() throws IOException {
    buildPrograms();
    try (LocalVireo vireo = vireo()) {
      vireo.startControlPlane(freePorts(), AS_BEFORE);
      Files.writeString(state.resolve("daemons/store"), "etcd http://x:2379");
      Files.writeString(state.resolve("daemons/store.before"), "");
      vireo.down();

      assertRemedy(() -> vireo.startControlPlane(freePorts(), AS_BEFORE), "=http://x:2379");
    }
  }

  @Test
  void anotherStoreThanThatOfTheEnvironmentMayBeAskedFor() throws IOException {
    buildPrograms();
    Map<String, String> etcd = Map.of("VIREO_STORE", "etcd", "VIREO_ETCD_ENDPOINTS", THEIRS);
    try (LocalVireo vireo = vireo(etcd)) {
      vireo.startControlPlane(freePorts(), asked(StoreKind.SQLITE, 1));

      assertControllerSays("store sqlite at null");
      vireo.down();
    }
  }

  @Test
  void whatWasMovedIntoAnotherEtcdIsLookedForThere() throws IOException {
    buildPrograms();
    try (LocalVireo vireo = vireo(Map.of("VIREO_ETCD_ENDPOINTS", THEIRS))) {
      vireo.migrateStore(StoreKind.SQLITE, StoreKind.ETCD, Optional.empty());
    }
    try (LocalVireo vireo = vireo()) {
      assertRemedy(() -> vireo.startControlPlane(freePorts(), AS_BEFORE), "=" + THEIRS);
      assertFalse(Files.exists(state.resolve("daemons/etcd-members")), "an etcd of our own");
    }
  }

  @Test
  void whatWasLeftBehindByAMoveIsNotMovedAgain() throws IOException {
    buildPrograms();
    try (LocalVireo vireo = vireo()) {
      Files.createDirectories(state.resolve("controller"));
      Files.writeString(state.resolve("controller/vireo.db"), "old");
      Files.writeString(state.resolve("daemons/store"), "etcd " + THEIRS);
      CommandException error =
          assertThrows(
              CommandException.class,
              () -> vireo.migrateStore(StoreKind.SQLITE, StoreKind.ETCD, Optional.empty()));

      assertEquals(ExitCode.REFUSED, error.exitCode());
      assertTrue(error.problem().contains("is in the etcd at " + THEIRS), error.problem());
      assertFalse(Files.exists(state.resolve("daemons/etcd-members")), "an etcd of our own");
    }
  }

  @Test
  void anOwnEtcdIsNotTakenForAnother() throws IOException {
    try (LocalVireo vireo = vireo(Map.of("VIREO_ETCD_ENDPOINTS", THEIRS))) {
      Files.writeString(state.resolve("daemons/store"), "etcd");
      Files.writeString(state.resolve("daemons/etcd-members"), "1 2");
      assertRemedy(
          () -> vireo.startControlPlane(freePorts(), AS_BEFORE), "Unset VIREO_ETCD_ENDPOINTS");
    }
  }

  @Test
  void aFileOfBeforeDoesNotSayWhichEtcdItWas() throws IOException {
    try (LocalVireo vireo = vireo()) {
      Files.writeString(state.resolve("daemons/store"), "etcd");
      assertRemedy(() -> vireo.startControlPlane(freePorts(), AS_BEFORE), "VIREO_ETCD_ENDPOINTS=");
    }
  }

  @Test
  void aMovesEtcdKeepsItsMembersToo() throws IOException {
    try (LocalVireo vireo = vireo()) {
      Files.writeString(state.resolve("daemons/etcd-members"), "1 2");
      CommandException error =
          assertThrows(
              CommandException.class,
              () -> vireo.migrateStore(StoreKind.SQLITE, StoreKind.ETCD, Optional.of(3)));
      assertTrue(error.problem().contains("1 members, not 3"), error.problem());
    }
  }

  @Test
  void aStoreThatThereIsNotIsRefused() {
    try (LocalVireo vireo = vireo(Map.of("VIREO_STORE", "oracle"))) {
      assertRemedy(() -> vireo.startControlPlane(freePorts(), AS_BEFORE), "sqlite or etcd");
    }
  }

  private static void assertRemedy(Executable refused, String remedy) {
    CommandException error = assertThrows(CommandException.class, refused);
    assertTrue(error.remedy().contains(remedy), error.remedy());
  }

  private void assertControllerSays(String line) {
    Path log = state.resolve("daemons/controller/log");
    await().untilAsserted(() -> assertEquals(line, Files.readString(log).strip()));
  }

  @ParameterizedTest
  @ValueSource(strings = {"worker", "emulated-node-a"})
  void aControllerComesBackWhereThoseThatKnowItLookForIt(String name) throws IOException {
    pretendToRun(name);
    try (LocalVireo vireo = vireo()) {
      CommandException error =
          assertThrows(CommandException.class, () -> vireo.startController(freePorts()));

      assertEquals(ExitCode.REFUSED, error.exitCode());
      assertTrue(error.problem().contains("--port 7420"), error.problem());
    }
  }

  @Test
  void aControllerThatIsMissingComesBackBesideTheOthers() throws IOException {
    pretendToRun("controller");
    try (LocalVireo vireo = vireo()) {
      Files.writeString(state.resolve("daemons/store"), "etcd");
      Files.writeString(state.resolve("daemons/etcd-members"), "1 2");
      CommandException error =
          assertThrows(
              CommandException.class,
              () -> vireo.startControlPlane(freePorts(), asked(StoreKind.ETCD, 2)));

      assertEquals(ExitCode.REFUSED, error.exitCode());
      assertTrue(error.problem().contains("--port 7420"), error.problem());
    }
  }

  @Test
  void aWorkerOfBeforeThatIsNotReadyGoesOn() throws IOException {
    pretendToRun("controller");
    pretendToRun("worker");
    ProcessHandle worker = new Daemon(state.resolve("daemons"), "worker").process().orElseThrow();
    try (LocalVireo vireo = vireo(Map.of(), Duration.ZERO)) {
      CommandException error =
          assertThrows(
              CommandException.class,
              () -> vireo.startWorker(0, NetworkKind.HOST, Optional.empty()));

      assertEquals(ExitCode.TIMED_OUT, error.exitCode());
      assertTrue(error.problem().contains("goes on"), error.problem());
      assertTrue(worker.isAlive());
    }
  }

  @Test
  void aDaemonOfOursThatIsNotReadyIsStopped() {
    try (Daemons daemons = new Daemons(state, sourceTree, state, new Progress(output))) {
      daemons.launch(daemons.get("slow"), _ -> List.of("sleep", "1000"));
      ProcessHandle slow = daemons.get("slow").process().orElseThrow();
      assertThrows(
          CommandException.class,
          () -> daemons.awaitReady(daemons.get("slow"), Duration.ZERO, () -> false));

      assertFalse(slow.isAlive());
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
              CommandException.class,
              () -> vireo.migrateStore(StoreKind.SQLITE, StoreKind.ETCD, Optional.empty()));

      assertEquals(ExitCode.REFUSED, error.exitCode());
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

  /** The second controller's are 2 above the first one's. */
  private static LocalVireo.Ports freePortsOfTwo() {
    LocalVireo.Ports ports = freePorts();
    while (!isFree(ports.grpc() + 2) || !isFree(ports.http() + 2)) {
      ports = freePorts();
    }
    return ports;
  }

  private static boolean isFree(int port) {
    try (ServerSocket socket = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
      return socket.isBound();
    } catch (IOException e) {
      return false;
    }
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

  /** Programs that say what they are told of the store: a controller, and what moves stores. */
  private void buildPrograms() throws IOException {
    controller =
        InProcessServerBuilder.forName(state.toString())
            .addService(
                new NodeServiceGrpc.NodeServiceImplBase() {
                  @Override
                  public void listNodes(
                      ListNodesRequest request, StreamObserver<ListNodesResponse> client) {
                    client.onNext(ListNodesResponse.getDefaultInstance());
                    client.onCompleted();
                  }
                })
            .build()
            .start();
    Path classes = Files.createDirectories(sourceTree.resolve("classes"));
    compile(
        classes,
        "Controller",
        """
        public class Controller {
          public static void main(String[] arguments) throws Exception {
            System.out.println(
                "store " + System.getProperty("vireo.store")
                    + " at " + System.getProperty("vireo.etcd.endpoints"));
            Thread.sleep(600_000);
          }
        }
        """);
    compile(
        classes,
        "MigrateStore",
        """
        package dev.vireo.controller.server;
        public class MigrateStore {
          public static void main(String[] arguments) {
            System.out.println("copied 1 keys");
          }
        }
        """);
    Files.createDirectories(controllerJar().getParent());
    assertEquals(
        0,
        ToolProvider.findFirst("jar")
            .orElseThrow()
            .run(
                output,
                output,
                "--create",
                "--file=" + controllerJar(),
                "--main-class=Controller",
                "-C",
                classes.toString(),
                "."));
  }

  private static void compile(Path classes, String name, String source) throws IOException {
    Path file = Files.writeString(classes.resolve(name + ".java"), source);
    int result =
        javax.tools.ToolProvider.getSystemJavaCompiler()
            .run(null, null, null, "-d", classes.toString(), file.toString());
    assertEquals(0, result);
  }

  private boolean isSilent(ServerAddress address) {
    return silent.stream().anyMatch(port -> address.toString().endsWith(":" + port));
  }

  private LocalVireo vireo() {
    return vireo(Map.of());
  }

  private LocalVireo vireo(Map<String, String> variables) {
    return vireo(variables, Daemons.START_TIMEOUT);
  }

  private LocalVireo vireo(Map<String, String> variables, Duration startTimeout) {
    Map<String, String> all = new HashMap<>(variables);
    all.put("HOME", state.toString());
    Environment environment =
        new Environment(
            output,
            output,
            false,
            Clock.systemUTC(),
            all,
            address ->
                InProcessChannelBuilder.forName(isSilent(address) ? "nobody" : state.toString())
                    .build());
    return new LocalVireo(environment, state, sourceTree, new Progress(output), startTimeout);
  }
}
