package dev.vireo.cli.local;

import dev.vireo.cli.Api;
import dev.vireo.cli.CommandException;
import dev.vireo.cli.Environment;
import dev.vireo.cli.ExitCode;
import dev.vireo.cli.ServerAddress;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeStatus;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.Stream;

/**
 * A controller, a worker and emulated nodes on this machine, known again by their records in one
 * state directory, which is locked for as long as this object is open.
 */
public final class LocalVireo implements AutoCloseable {
  /** The node that this machine itself is. */
  public static final String LOCAL_NODE = "local";

  private static final String CONTROLLER = "controller";
  private static final String ETCD = "etcd";
  private static final String WORKER = "worker";
  private static final String EMULATED_NODE = "emulated-node-";
  private static final Duration START_TIMEOUT = Duration.ofSeconds(60);

  private static final Path KVM = Path.of("/dev/kvm");

  /** The first time, its images are built; always, a machine boots under emulation. */
  private static final Duration EMULATED_START_TIMEOUT = Duration.ofMinutes(6);

  /** After all others, in this order. */
  private static final List<String> LAST_TO_STOP = List.of(CONTROLLER, ETCD);

  private static final Duration MIGRATION_TIMEOUT = Duration.ofMinutes(10);
  private static final Duration STOP_GRACE = Duration.ofSeconds(15);
  private static final Duration CALL_TIMEOUT = Duration.ofSeconds(2);
  private static final Duration POLL = Duration.ofMillis(50);

  private final Environment environment;
  private final Path state;
  private final Path sourceTree;
  private final Progress progress;
  private final FileChannel lock;
  private final Deque<Daemon> started = new ArrayDeque<>();
  private boolean closing;

  /** The controller's TCP ports, both on loopback: gRPC, and HTTP for health and metrics. */
  public record Ports(int grpc, int http) {}

  /**
   * Locks the state directory, which is made if it is missing.
   *
   * @param sourceTree where the daemons' programs have been built
   */
  public LocalVireo(Environment environment, Path state, Path sourceTree, Progress progress) {
    this.environment = environment;
    this.state = state;
    this.sourceTree = sourceTree;
    this.progress = progress;
    try {
      Files.createDirectories(daemons());
      lock =
          FileChannel.open(
              daemons().resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      if (!tryLock(lock)) {
        lock.close();
        throw new CommandException(
            ExitCode.REFUSED,
            "another vireo command is starting or stopping daemons here",
            "Wait for it, or use another state directory: VIREO_STATE_DIR=…");
      }
    } catch (IOException e) {
      throw new CommandException(
          ExitCode.FAILED,
          "cannot use the state directory %s: %s".formatted(state, e),
          "Choose another one: VIREO_STATE_DIR=…");
    }
  }

  private static boolean tryLock(FileChannel file) throws IOException {
    try {
      return file.tryLock() != null;
    } catch (OverlappingFileLockException e) {
      // This process has it.
      return false;
    }
  }

  /** A connection to this machine's controller. */
  public Api connect() {
    ServerAddress address = ServerAddress.parse("127.0.0.1:" + controllerPort());
    return new Api(address, "default", environment.connector().apply(address));
  }

  /** Whether a worker can do its work on this machine. */
  public static boolean canUseKvm() {
    return Files.isReadable(KVM) && Files.isWritable(KVM);
  }

  /** The same, with the store of the last time. */
  public void startController(Ports ports) {
    startController(ports, Optional.empty());
  }

  /**
   * Starts the controller unless it runs, and waits until it answers.
   *
   * @param asked what it is to keep its state in; empty: what it was kept in the last time, which
   *     at first is SQLite
   */
  public void startController(Ports ports, Optional<StoreKind> asked) {
    Daemon controller = daemon(CONTROLLER);
    if (controller.isRunning()) {
      progress.step("the controller is up already");
      return;
    }
    requireFree(ports.grpc(), "--port");
    requireFree(ports.http(), "--http-port");
    StoreKind store = requireSameStore(asked);
    List<String> settings = store == StoreKind.ETCD ? startEtcd() : List.of();
    progress.step("starting the controller");
    writeControllerPort(ports.grpc());
    launch(
        controller, programs -> programs.controllerCommand(ports.grpc(), ports.http(), settings));
    awaitReady(controller, START_TIMEOUT, () -> nodes().isPresent());
    write(storeFile(), store.toString());
  }

  /** Another store than the last time would be empty: that is never what was meant. */
  private StoreKind requireSameStore(Optional<StoreKind> asked) {
    Optional<StoreKind> last = lastStore();
    if (asked.isPresent() && last.isPresent() && asked.get() != last.get()) {
      throw new CommandException(
          ExitCode.REFUSED,
          "what is kept in %s is in %s, not in %s".formatted(state, last.get(), asked.get()),
          "Move it: vireo store migrate --from %s --to %s; or use another VIREO_STATE_DIR"
              .formatted(last.get(), asked.get()));
    }
    return asked.or(() -> last).orElse(StoreKind.SQLITE);
  }

  private Optional<StoreKind> lastStore() {
    if (Files.exists(storeFile())) {
      return Optional.of(StoreKind.valueOf(read(storeFile()).toUpperCase(Locale.ROOT)));
    }
    return Files.exists(state.resolve(CONTROLLER).resolve("vireo.db"))
        ? Optional.of(StoreKind.SQLITE)
        : Optional.empty();
  }

  /** Starts an etcd of our own unless it runs; returns what a controller must know of it. */
  private List<String> startEtcd() {
    Daemon etcd = daemon(ETCD);
    if (!etcd.isRunning()) {
      requireProgram("etcd", "etcd-server");
      int port = freePort();
      String endpoint = "http://127.0.0.1:" + port;
      String peers = "http://127.0.0.1:" + freePort();
      progress.step("starting etcd");
      write(etcdFile(), endpoint);
      List<String> command =
          List.of(
              "etcd",
              "--name=vireo",
              // A gang of 256 is one commit.
              "--max-txn-ops=512",
              "--data-dir=" + state.resolve(ETCD),
              "--listen-client-urls=" + endpoint,
              "--advertise-client-urls=" + endpoint,
              "--listen-peer-urls=" + peers,
              "--initial-advertise-peer-urls=" + peers,
              "--initial-cluster=vireo=" + peers);
      launch(etcd, _ -> command);
      awaitReady(etcd, START_TIMEOUT, () -> isOpen(port));
    }
    return List.of("-Dvireo.store=etcd", "-Dvireo.etcd.endpoints=" + read(etcdFile()));
  }

  /**
   * Copies everything from one store to the other, which is that of the controller from then on.
   * Returns what was done, for people.
   */
  public String migrateStore(StoreKind from, StoreKind to) {
    if (from == to) {
      throw new CommandException(
          ExitCode.USAGE, "from %s to %s is no move".formatted(from, to), "Name two stores.");
    }
    if (daemon(CONTROLLER).isRunning()) {
      throw new CommandException(
          ExitCode.REFUSED, "the controller is up, and its store in use", "Stop it: vireo down");
    }
    boolean own = !environment.variables().containsKey("VIREO_ETCD_ENDPOINTS");
    List<String> settings = own ? startEtcd() : List.of();
    progress.step("copying from %s to %s".formatted(from, to));
    Daemon migration = daemon("migrate-store");
    try {
      launch(migration, programs -> programs.migrationCommand(from, to, settings));
      migration.awaitEnd(MIGRATION_TIMEOUT);
    } finally {
      migration.stop(STOP_GRACE);
      daemon(ETCD).stop(STOP_GRACE);
    }
    String outcome = migration.lastLine();
    if (!outcome.startsWith("copied ")) {
      throw new CommandException(
          ExitCode.FAILED,
          outcome,
          "The store that was copied from is as it was; remove what the other has before you try"
              + " again. The whole log: "
              + migration.log());
    }
    write(storeFile(), to.toString());
    return "%s; what was in %s is left there".formatted(outcome, from);
  }

  /**
   * Starts this machine's worker unless it runs, and waits until its node is ready.
   *
   * @param poolSize how many VMM processes it keeps pre-started
   */
  public void startWorker(int poolSize) {
    Daemon worker = daemon(WORKER);
    if (worker.isRunning()) {
      progress.step("the worker is up already");
      return;
    }
    progress.step("starting the worker");
    launch(
        worker,
        programs ->
            programs.workerCommand(
                "--controller",
                "127.0.0.1:" + controllerPort(),
                "--node-id",
                LOCAL_NODE,
                "--pool",
                Integer.toString(poolSize),
                "--vmm",
                programs.vmmDirectory()));
    awaitReady(worker, START_TIMEOUT, () -> isReady(LOCAL_NODE));
  }

  /** Waits until this machine's worker has so many VMM processes pre-started. */
  public void awaitWarmVmms(int count) {
    awaitReady(
        daemon(WORKER),
        START_TIMEOUT,
        () -> node(LOCAL_NODE, status -> status.getWarmVmms() >= count));
  }

  /** Starts an emulated node, which takes a while to become ready. */
  public void launchEmulatedNode(String id, String architecture, Map<String, String> labels) {
    if (!daemon(CONTROLLER).isRunning()) {
      throw new CommandException(
          ExitCode.UNAVAILABLE, "no controller runs on this machine", "Start one: vireo up");
    }
    Daemon node = daemon(EMULATED_NODE + id);
    if (node.isRunning()) {
      throw new CommandException(
          ExitCode.REFUSED,
          "the emulated node %s is up already".formatted(id),
          "See it: vireo node get %s; or choose another --id".formatted(id));
    }
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "node",
                "--controller-port",
                Integer.toString(controllerPort()),
                "--node-id",
                id,
                "--arch",
                architecture,
                "--state-dir",
                state.resolve(EMULATED_NODE + id).toString()));
    labels.forEach((key, value) -> arguments.addAll(List.of("--label", key + "=" + value)));
    progress.step("starting the emulated node " + id);
    launch(node, programs -> programs.emulatedNodeCommand(arguments.toArray(String[]::new)));
  }

  /** Waits until the controller calls an emulated node ready. */
  public void awaitEmulatedNode(String id) {
    awaitReady(daemon(EMULATED_NODE + id), EMULATED_START_TIMEOUT, () -> isReady(id));
  }

  /** Stops an emulated node. */
  public void stopEmulatedNode(String id) {
    Daemon node = daemon(EMULATED_NODE + id);
    if (!node.isRunning()) {
      throw new CommandException(
          ExitCode.NOT_FOUND,
          "no emulated node %s runs on this machine".formatted(id),
          "See the nodes: vireo node list");
    }
    node.stop(STOP_GRACE);
  }

  /**
   * Stops everything: emulated nodes, the worker, its guests, the controller. What they keep on
   * disk stays. Returns what was stopped, for people.
   */
  public synchronized List<String> down() {
    closing = true;
    List<String> stopped = new ArrayList<>();
    for (Daemon daemon : runningDaemons()) {
      progress.step("stopping " + daemon.name());
      daemon.stop(STOP_GRACE);
      stopped.add(daemon.name());
    }
    reapGuests();
    for (ProcessHandle leftover : Leftovers.of(state)) {
      stopped.add("a leftover process, " + leftover.pid());
      leftover.destroyForcibly();
      leftover.onExit().join();
    }
    FileTrees.delete(state.resolve("programs"));
    return stopped;
  }

  /** Stops what this object has started, the last first: somebody thought better of it. */
  public synchronized void abandon() {
    closing = true;
    while (!started.isEmpty()) {
      Daemon daemon = started.pop();
      progress.step("stopping " + daemon.name());
      daemon.stop(STOP_GRACE);
    }
  }

  /** Throws if a process still writes into the state directory. */
  public void requireNothingLeft() {
    List<ProcessHandle> leftovers = Leftovers.of(state);
    if (!leftovers.isEmpty()) {
      throw new CommandException(
          ExitCode.FAILED, "processes are left: " + leftovers, "Please report it.");
    }
  }

  /** In the order in which they are to be stopped. */
  private List<Daemon> runningDaemons() {
    try (Stream<Path> directories = Files.list(daemons())) {
      return directories
          .filter(Files::isDirectory)
          .map(directory -> daemon(directory.getFileName().toString()))
          .filter(Daemon::isRunning)
          .sorted(Comparator.comparingInt(daemon -> LAST_TO_STOP.indexOf(daemon.name())))
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** VMMs outlive their worker by design: without one, somebody else has to end them. */
  private void reapGuests() {
    if (!Files.exists(state.resolve(WORKER).resolve(LOCAL_NODE))) {
      return;
    }
    Daemon reaper = daemon("reap");
    reaper.start(programs().workerCommand("reap", "--node-id", LOCAL_NODE), variables());
    reaper.awaitEnd(STOP_GRACE);
    reaper.stop(STOP_GRACE);
  }

  /**
   * Not while {@link #down} or {@link #abandon} is at work in another thread, a signal's: what is
   * copied and started then would be missed.
   */
  private synchronized void launch(Daemon daemon, Function<Programs, List<String>> command) {
    if (closing) {
      throw new CommandException(ExitCode.INTERRUPTED, "interrupted", "");
    }
    daemon.start(command.apply(programs()), variables());
    started.push(daemon);
  }

  private void awaitReady(Daemon daemon, Duration timeout, BooleanSupplier ready) {
    long end = System.nanoTime() + timeout.toNanos();
    while (!ready.getAsBoolean()) {
      if (!daemon.isRunning()) {
        throw failedStart(daemon, ExitCode.FAILED, "ended while it started");
      }
      if (System.nanoTime() - end > 0) {
        daemon.stop(STOP_GRACE);
        throw failedStart(
            daemon, ExitCode.TIMED_OUT, "was not ready after " + timeout.toSeconds() + " s");
      }
      progress.still(daemon::lastLine);
      LockSupport.parkNanos(POLL.toNanos());
    }
  }

  private static CommandException failedStart(Daemon daemon, int exitCode, String what) {
    return new CommandException(
        exitCode,
        "%s %s; its last words:%n%s".formatted(daemon.name(), what, daemon.logTail().indent(4)),
        "The whole log: " + daemon.log());
  }

  private boolean isReady(String nodeId) {
    return node(nodeId, status -> status.getHealth() == NodeStatus.Health.READY);
  }

  private boolean node(String id, Predicate<NodeStatus> condition) {
    return nodes().stream()
        .flatMap(List::stream)
        .filter(node -> node.getMeta().getName().equals("nodes/" + id))
        .map(Node::getStatus)
        .anyMatch(condition);
  }

  /** Empty while the controller does not answer. */
  private Optional<List<Node>> nodes() {
    try (Api api = connect()) {
      return Optional.of(api.listNodes(CALL_TIMEOUT));
    } catch (StatusRuntimeException notYet) {
      return Optional.empty();
    }
  }

  private static void requireFree(int port, String option) {
    try {
      new ServerSocket(port, 1, InetAddress.getLoopbackAddress()).close();
    } catch (IOException e) {
      throw new CommandException(
          ExitCode.REFUSED,
          "port %d of 127.0.0.1 is taken by another program".formatted(port),
          "See which: ss -ltnp 'sport = :%d'; or choose another: %s".formatted(port, option));
    }
  }

  private static void requireProgram(String program, String debianPackage) {
    boolean found =
        Stream.of(System.getenv("PATH").split(":"))
            .anyMatch(directory -> Files.isExecutable(Path.of(directory, program)));
    if (!found) {
      throw new CommandException(
          ExitCode.FAILED,
          program + " is not installed",
          "Install it: apt-get install " + debianPackage);
    }
  }

  private static int freePort() {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static boolean isOpen(int port) {
    try {
      new Socket(InetAddress.getLoopbackAddress(), port).close();
      return true;
    } catch (IOException e) {
      return false;
    }
  }

  private static void write(Path file, String content) {
    try {
      Files.writeString(file, content);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String read(Path file) {
    try {
      return Files.readString(file).strip();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void writeControllerPort(int port) {
    write(portFile(), Integer.toString(port));
  }

  private int controllerPort() {
    try {
      return Integer.parseInt(Files.readString(portFile()));
    } catch (IOException e) {
      throw new UncheckedIOException("the controller was not started by vireo up", e);
    }
  }

  private Path storeFile() {
    return daemons().resolve("store");
  }

  private Path etcdFile() {
    return daemons().resolve("etcd-endpoint");
  }

  private Path portFile() {
    return daemons().resolve("controller-port");
  }

  private Daemon daemon(String name) {
    return new Daemon(daemons(), name);
  }

  private Path daemons() {
    return state.resolve("daemons");
  }

  private Programs programs() {
    return Programs.install(sourceTree, state.resolve("programs"));
  }

  private Map<String, String> variables() {
    return Map.of(
        "VIREO_STATE_DIR",
        state.toString(),
        "VIREO_CACHE_DIR",
        environment.cacheDirectory().toString());
  }

  /** Lets the next command in. The daemons go on. */
  @Override
  public void close() {
    try {
      lock.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
