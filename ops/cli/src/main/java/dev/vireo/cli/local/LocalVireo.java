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
import java.util.stream.Collectors;
import java.util.stream.IntStream;
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

  /** After all others, in this order: what their names begin with. */
  private static final List<String> LAST_TO_STOP = List.of(CONTROLLER, ETCD);

  /** Between one controller's ports and the next one's. */
  private static final int PORTS_APART = 2;

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
  public record Ports(int grpc, int http) {
    /** Of the controller of this number; the first has these. */
    private Ports of(int number) {
      int further = PORTS_APART * (number - 1);
      return new Ports(grpc + further, http + further);
    }
  }

  /**
   * What there shall be of the control plane; empty: what there was the last time, at first one
   * controller on SQLite.
   */
  public record ControlPlane(
      Optional<StoreKind> store, Optional<Integer> controllers, Optional<Integer> etcdMembers) {
    public static final ControlPlane AS_BEFORE =
        new ControlPlane(Optional.empty(), Optional.empty(), Optional.empty());
  }

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
    ServerAddress address = ServerAddress.parse(controllerAddresses());
    return new Api(address, "default", environment.connector().apply(address));
  }

  /** Whether a worker can do its work on this machine. */
  public static boolean canUseKvm() {
    return Files.isReadable(KVM) && Files.isWritable(KVM);
  }

  /** The same, as it was the last time. */
  public void startController(Ports ports) {
    startControlPlane(ports, ControlPlane.AS_BEFORE);
  }

  /** Starts the controllers, and etcd, unless they run, and waits until they answer. */
  public void startControlPlane(Ports ports, ControlPlane asked) {
    StoreKind store = requireSameStore(asked.store());
    int count =
        asked.controllers().orElseGet(() -> store == StoreKind.ETCD ? lastControllers() : 1);
    requireStoreFor(store, count, asked);
    List<Integer> missing =
        IntStream.rangeClosed(1, count).filter(i -> !controller(i).isRunning()).boxed().toList();
    if (!missing.isEmpty() && missing.size() < count) {
      requireSamePorts(ports);
    }
    for (int number : missing) {
      requireFree(ports.of(number).grpc(), "--port");
      requireFree(ports.of(number).http(), "--http-port");
    }
    List<String> settings = store == StoreKind.ETCD ? startEtcd(asked.etcdMembers()) : List.of();
    if (missing.isEmpty()) {
      progress.step(count == 1 ? "the controller is up already" : "the controllers are up already");
      return;
    }
    progress.step(
        count == 1
            ? "starting the controller"
            : "starting %d of %d controllers".formatted(missing.size(), count));
    write(
        portFile(),
        IntStream.rangeClosed(1, count)
            .mapToObj(number -> Integer.toString(ports.of(number).grpc()))
            .collect(Collectors.joining(",")));
    for (int number : missing) {
      launchController(number, ports.of(number), settings);
    }
    for (int number : missing) {
      awaitReady(
          controller(number),
          START_TIMEOUT,
          () -> nodes("127.0.0.1:" + ports.of(number).grpc()).isPresent());
    }
    write(storeFile(), store.toString());
  }

  /** Those that run know each other by them, and so does the worker. */
  private void requireSamePorts(Ports ports) {
    String first = controllerPorts().split(",", -1)[0];
    if (!first.equals(Integer.toString(ports.grpc()))) {
      throw new CommandException(
          ExitCode.REFUSED,
          "the controllers that run were started with --port " + first,
          "Give the same ports again, or stop them: vireo down");
    }
  }

  private void launchController(int number, Ports ports, List<String> settings) {
    List<String> all = new ArrayList<>(settings);
    if (number > 1) {
      all.add("-Dvireo.state-dir=" + state.resolve(controller(number).name()));
    }
    launch(
        controller(number),
        programs -> programs.controllerCommand(ports.grpc(), ports.http(), all));
  }

  private static void requireStoreFor(StoreKind store, int controllers, ControlPlane asked) {
    if (store != StoreKind.ETCD && (controllers > 1 || asked.etcdMembers().isPresent())) {
      throw new CommandException(
          ExitCode.USAGE,
          controllers > 1
              ? "%d controllers cannot share a file".formatted(controllers)
              : "there is no etcd to have members",
          "Keep the state in an etcd: --store etcd");
    }
  }

  /** The first is {@code controller}, the next {@code controller-2}. */
  private Daemon controller(int number) {
    return numbered(CONTROLLER, number);
  }

  private Daemon etcd(int number) {
    return numbered(ETCD, number);
  }

  private Daemon numbered(String name, int number) {
    return daemon(number == 1 ? name : name + "-" + number);
  }

  private int lastControllers() {
    return Files.exists(portFile()) ? read(portFile()).split(",", -1).length : 1;
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

  /**
   * Starts an etcd of our own unless it runs; returns what a controller must know of it. Its
   * members are those of the first time: they know each other by their ports.
   */
  private List<String> startEtcd(Optional<Integer> asked) {
    List<EtcdMember> members = etcdMembers(asked);
    List<EtcdMember> missing =
        members.stream().filter(member -> !etcd(member.number).isRunning()).toList();
    if (!missing.isEmpty()) {
      requireProgram("etcd", "etcd-server");
      progress.step(
          members.size() == 1
              ? "starting etcd"
              : "starting etcd, %d members".formatted(members.size()));
    }
    for (EtcdMember member : missing) {
      launch(etcd(member.number), _ -> etcdCommand(member, members));
    }
    for (EtcdMember member : missing) {
      awaitReady(etcd(member.number), START_TIMEOUT, () -> isOpen(member.port));
    }
    return List.of(
        "-Dvireo.store=etcd",
        "-Dvireo.etcd.endpoints="
            + members.stream().map(EtcdMember::endpoint).collect(Collectors.joining(",")));
  }

  /** One process of an etcd of ours. */
  private record EtcdMember(int number, int port, int peerPort) {
    String name() {
      return "vireo-" + number;
    }

    String endpoint() {
      return "http://127.0.0.1:" + port;
    }

    String peer() {
      return "http://127.0.0.1:" + peerPort;
    }
  }

  private List<EtcdMember> etcdMembers(Optional<Integer> asked) {
    List<String> lines =
        Files.exists(etcdFile())
            ? read(etcdFile()).lines().toList()
            : Stream.generate(() -> freePort() + " " + freePort()).limit(asked.orElse(1)).toList();
    if (asked.isPresent() && asked.get() != lines.size()) {
      throw new CommandException(
          ExitCode.REFUSED,
          "the etcd in %s has %d members, not %d".formatted(state, lines.size(), asked.get()),
          "Use another VIREO_STATE_DIR, or etcdctl member add.");
    }
    write(etcdFile(), String.join("\n", lines));
    return IntStream.rangeClosed(1, lines.size())
        .mapToObj(number -> {
          String[] ports = lines.get(number - 1).split(" ", -1);
          return new EtcdMember(number, Integer.parseInt(ports[0]), Integer.parseInt(ports[1]));
        })
        .toList();
  }

  private List<String> etcdCommand(EtcdMember member, List<EtcdMember> all) {
    return List.of(
        "etcd",
        "--name=" + member.name(),
        // A gang of 256 is one commit.
        "--max-txn-ops=512",
        "--data-dir=" + state.resolve(etcd(member.number).name()),
        "--listen-client-urls=" + member.endpoint(),
        "--advertise-client-urls=" + member.endpoint(),
        "--listen-peer-urls=" + member.peer(),
        "--initial-advertise-peer-urls=" + member.peer(),
        "--initial-cluster="
            + all.stream()
                .map(each -> each.name() + "=" + each.peer())
                .collect(Collectors.joining(",")));
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
    if (isControllerUp()) {
      throw new CommandException(
          ExitCode.REFUSED, "the controller is up, and its store in use", "Stop it: vireo down");
    }
    boolean own = !environment.variables().containsKey("VIREO_ETCD_ENDPOINTS");
    List<String> settings = own ? startEtcd(Optional.empty()) : List.of();
    progress.step("copying from %s to %s".formatted(from, to));
    Daemon migration = daemon("migrate-store");
    try {
      launch(migration, programs -> programs.migrationCommand(from, to, settings));
      migration.awaitEnd(MIGRATION_TIMEOUT);
    } finally {
      migration.stop(STOP_GRACE);
      stopEtcd();
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

  private void stopEtcd() {
    runningDaemons().stream()
        .filter(daemon -> daemon.name().startsWith(ETCD))
        .forEach(daemon -> daemon.stop(STOP_GRACE));
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
                controllerAddresses(),
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
    if (!isControllerUp()) {
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
                controllerPorts(),
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

  private boolean isControllerUp() {
    return runningDaemons().stream().anyMatch(daemon -> daemon.name().startsWith(CONTROLLER));
  }

  /** In the order in which they are to be stopped. */
  private List<Daemon> runningDaemons() {
    try (Stream<Path> directories = Files.list(daemons())) {
      return directories
          .filter(Files::isDirectory)
          .map(directory -> daemon(directory.getFileName().toString()))
          .filter(Daemon::isRunning)
          .sorted(Comparator.comparingInt(LocalVireo::stopsLate))
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static int stopsLate(Daemon daemon) {
    return IntStream.range(0, LAST_TO_STOP.size())
        .filter(i -> daemon.name().startsWith(LAST_TO_STOP.get(i)))
        .findFirst()
        .orElse(-1);
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

  /** Empty while no controller answers. */
  private Optional<List<Node>> nodes() {
    return nodes(controllerAddresses());
  }

  private Optional<List<Node>> nodes(String controllers) {
    ServerAddress address = ServerAddress.parse(controllers);
    try (Api api = new Api(address, "default", environment.connector().apply(address))) {
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

  /** Of the controllers here, with commas between. */
  private String controllerPorts() {
    if (!Files.exists(portFile())) {
      throw new IllegalStateException("the controller was not started by vireo up");
    }
    return read(portFile());
  }

  private String controllerAddresses() {
    return Stream.of(controllerPorts().split(",", -1))
        .map(port -> "127.0.0.1:" + port)
        .collect(Collectors.joining(","));
  }

  private Path storeFile() {
    return daemons().resolve("store");
  }

  private Path etcdFile() {
    return daemons().resolve("etcd-members");
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
