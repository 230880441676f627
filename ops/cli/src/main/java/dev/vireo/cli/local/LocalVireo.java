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
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * A controller, a worker and emulated nodes on this machine, in one state directory, which is
 * locked for as long as this object is open.
 */
public final class LocalVireo implements AutoCloseable {
  /** The node that this machine itself is. */
  public static final String LOCAL_NODE = "local";

  private static final String CONTROLLER = "controller";
  private static final String WORKER = "worker";
  private static final String EMULATED_NODE = "emulated-node-";

  private static final Path KVM = Path.of("/dev/kvm");

  /** The first time, its images are built; always, a machine boots under emulation. */
  private static final Duration EMULATED_START_TIMEOUT = Duration.ofMinutes(6);

  /** After all others, in this order: what their names begin with. */
  private static final List<String> LAST_TO_STOP =
      List.of(CONTROLLER, LocalEtcd.NAME, LocalNetwork.NAME);

  /** Between one controller's ports and the next one's. */
  private static final int PORTS_APART = 2;

  private static final Duration MIGRATION_TIMEOUT = Duration.ofMinutes(10);
  private static final Duration CALL_TIMEOUT = Duration.ofSeconds(2);

  private final Environment environment;
  private final Path state;
  private final Progress progress;
  private final Daemons daemons;
  private final LocalEtcd etcd;
  private final LocalNetwork network;
  private final Duration startTimeout;

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
   * controller on SQLite. Of the store, the environment has a say before that.
   */
  public record ControlPlane(
      Optional<StoreKind> store, Optional<Integer> controllers, Optional<Integer> etcdMembers) {
    private static final ControlPlane ONE_ON_SQLITE =
        new ControlPlane(Optional.of(StoreKind.SQLITE), Optional.of(1), Optional.empty());
  }

  /**
   * Locks the state directory, which is made if it is missing.
   *
   * @param sourceTree where the daemons' programs have been built
   */
  public LocalVireo(Environment environment, Path state, Path sourceTree, Progress progress) {
    this(environment, state, sourceTree, progress, Daemons.START_TIMEOUT);
  }

  /**
   * @param startTimeout of a controller, and of the worker
   */
  LocalVireo(
      Environment environment,
      Path state,
      Path sourceTree,
      Progress progress,
      Duration startTimeout) {
    this.startTimeout = startTimeout;
    this.environment = environment;
    this.state = state;
    this.progress = progress;
    this.daemons = new Daemons(state, sourceTree, environment.cacheDirectory(), progress);
    this.etcd = new LocalEtcd(daemons, progress);
    this.network = new LocalNetwork(daemons, progress);
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

  /** Starts one controller, its state in a file, whatever the environment says. */
  public void startController(Ports ports) {
    startControlPlane(ports, ControlPlane.ONE_ON_SQLITE);
  }

  /** Starts the controllers, and etcd, unless they run, and waits until they answer. */
  public void startControlPlane(Ports ports, ControlPlane asked) {
    StoreChoice store = requireSameStore(asked.store());
    int count =
        asked.controllers().orElseGet(() -> store.kind() == StoreKind.ETCD ? lastControllers() : 1);
    requireStoreFor(store, count);
    requireOwnEtcd(store, asked.etcdMembers());
    List<Integer> missing =
        IntStream.rangeClosed(1, count).filter(i -> !controller(i).isRunning()).boxed().toList();
    if (!missing.isEmpty() && isAnyAttached()) {
      requireSamePorts(ports);
    }
    for (int number : missing) {
      requireFree(ports.of(number).grpc(), "--port");
      requireFree(ports.of(number).http(), "--http-port");
    }
    List<String> settings = reach(store, asked.etcdMembers());
    if (missing.isEmpty()) {
      progress.step(count == 1 ? "the controller is up already" : "the controllers are up already");
      return;
    }
    progress.step(
        count == 1
            ? "starting the controller"
            : "starting %d of %d controllers".formatted(missing.size(), count));
    SmallFile.write(
        portFile(),
        IntStream.rangeClosed(1, count)
            .mapToObj(number -> Integer.toString(ports.of(number).grpc()))
            .collect(Collectors.joining(",")));
    launchControllers(missing, ports, settings, store);
  }

  /**
   * Writes the store down, too, before anything can be kept there; until a controller has answered
   * with a note of what was known before. A start that has come to nothing, however it ended, has
   * chosen nothing: the next one may be with another store.
   */
  private void launchControllers(
      List<Integer> missing, Ports ports, List<String> settings, StoreChoice store) {
    SmallFile.write(
        storeBeforeFile(), Files.exists(storeFile()) ? SmallFile.read(storeFile()) : "");
    SmallFile.write(storeFile(), store.words());
    try {
      for (int number : missing) {
        launchController(number, ports.of(number), settings);
      }
      for (int number : missing) {
        daemons.awaitReady(controller(number), startTimeout, () -> answers(ports.of(number)));
        SmallFile.delete(storeBeforeFile());
      }
    } catch (RuntimeException e) {
      if (missing.stream().noneMatch(number -> answers(ports.of(number)))) {
        missing.forEach(number -> controller(number).stop(Daemons.STOP_GRACE));
        forgetStoreOfNoController();
      }
      throw e;
    }
  }

  private boolean answers(Ports controller) {
    return nodes("127.0.0.1:" + controller.grpc()).isPresent();
  }

  /** Unless a controller runs, of which nobody knows what it has kept. */
  private void forgetStoreOfNoController() {
    if (!Files.exists(storeBeforeFile())) {
      return;
    }
    if (!isControllerUp()) {
      String before = SmallFile.read(storeBeforeFile());
      if (before.isEmpty()) {
        SmallFile.delete(storeFile());
      } else {
        SmallFile.write(storeFile(), before);
      }
    }
    SmallFile.delete(storeBeforeFile());
  }

  /** Whether something runs that knows the controllers by their ports. */
  private boolean isAnyAttached() {
    return Stream.of(CONTROLLER, WORKER, EMULATED_NODE)
        .anyMatch(name -> !daemons.running(name).isEmpty());
  }

  private void requireSamePorts(Ports ports) {
    String first = controllerPorts().split(",", -1)[0];
    if (!first.equals(Integer.toString(ports.grpc()))) {
      throw new CommandException(
          ExitCode.REFUSED,
          "what runs here was started with --port " + first,
          "Give the same ports again, or stop all: vireo down");
    }
  }

  /**
   * Returns what a controller must know of it. Of another's etcd, the environment says the rest.
   */
  private List<String> reach(StoreChoice store, Optional<Integer> etcdMembers) {
    return store.isOwnEtcd() ? etcd.start(etcdMembers) : List.of("-Dvireo.store=" + store.kind());
  }

  private void launchController(int number, Ports ports, List<String> settings) {
    List<String> all = new ArrayList<>(settings);
    if (number > 1) {
      all.add("-Dvireo.state-dir=" + state.resolve(controller(number).name()));
    }
    daemons.launch(
        controller(number),
        programs -> programs.controllerCommand(ports.grpc(), ports.http(), all));
  }

  private static void requireStoreFor(StoreChoice store, int controllers) {
    if (store.kind() != StoreKind.ETCD && controllers > 1) {
      throw new CommandException(
          ExitCode.USAGE,
          "%d controllers cannot share a file".formatted(controllers),
          "Keep the state in an etcd: --store etcd");
    }
  }

  private static void requireOwnEtcd(StoreChoice store, Optional<Integer> etcdMembers) {
    if (etcdMembers.isPresent() && !store.isOwnEtcd()) {
      throw new CommandException(
          ExitCode.USAGE,
          "--etcd-members is for an etcd of this machine's own, and the state is in " + store,
          store.kind() == StoreKind.ETCD
              ? "Leave it out, or unset VIREO_ETCD_ENDPOINTS."
              : "Keep the state in an etcd: --store etcd");
    }
  }

  private Daemon controller(int number) {
    return daemons.get(CONTROLLER, number);
  }

  private int lastControllers() {
    return Files.exists(portFile()) ? SmallFile.read(portFile()).split(",", -1).length : 1;
  }

  /** Another store than the last time would be empty: that is never what was meant. */
  private StoreChoice requireSameStore(Optional<StoreKind> asked) {
    Optional<StoreChoice> last = lastStore();
    StoreChoice store =
        store(
            asked
                .or(this::storeOfEnvironment)
                .or(() -> last.map(StoreChoice::kind))
                .orElse(StoreKind.SQLITE));
    last.ifPresent(before -> requireSame(before, store));
    return store;
  }

  private Optional<StoreKind> storeOfEnvironment() {
    String value = environment.variables().getOrDefault("VIREO_STORE", "");
    Optional<StoreKind> kind =
        Stream.of(StoreKind.values())
            .filter(each -> each.toString().equalsIgnoreCase(value))
            .findFirst();
    if (kind.isEmpty() && !value.isEmpty()) {
      throw new CommandException(
          ExitCode.USAGE, "VIREO_STORE is '%s'".formatted(value), "It is sqlite or etcd.");
    }
    return kind;
  }

  private StoreChoice store(StoreKind kind) {
    return kind == StoreKind.ETCD
        ? new StoreChoice(kind, etcdEndpoints(), etcdPrefix())
        : new StoreChoice(kind, "", "");
  }

  /** Of an etcd of somebody else's. */
  private String etcdEndpoints() {
    return environment.variables().getOrDefault("VIREO_ETCD_ENDPOINTS", "").strip();
  }

  /** Of an etcd of our own, too. */
  private String etcdPrefix() {
    return environment.variables().getOrDefault("VIREO_ETCD_PREFIX", "");
  }

  private void requireSame(StoreChoice last, StoreChoice store) {
    if (last.equals(store)) {
      return;
    }
    throw new CommandException(
        ExitCode.REFUSED,
        "what is kept in %s is in %s, not in %s".formatted(state, last, store),
        remedy(last, store) + "; or use another VIREO_STATE_DIR");
  }

  private String remedy(StoreChoice last, StoreChoice store) {
    if (last.kind() != store.kind()) {
      return "Move it: vireo store migrate --from %s --to %s".formatted(last.kind(), store.kind());
    }
    if (last.endpoints().equals(store.endpoints())) {
      return last.prefix().isEmpty()
          ? "Unset VIREO_ETCD_PREFIX, or, if it was used before, make it the second line of "
              + storeFile()
          : "Name the same one: VIREO_ETCD_PREFIX=" + last.prefix();
    }
    return last.isOwnEtcd()
        ? "Unset VIREO_ETCD_ENDPOINTS"
        : "Name the same one: VIREO_ETCD_ENDPOINTS=%s; if it has moved, change %s"
            .formatted(last.endpoints(), storeFile());
  }

  private Optional<StoreChoice> lastStore() {
    forgetStoreOfNoController();
    boolean inFile = Files.exists(state.resolve(CONTROLLER).resolve("vireo.db"));
    if (!Files.exists(storeFile())) {
      return inFile ? Optional.of(store(StoreKind.SQLITE)) : Optional.empty();
    }
    StoreChoice last = StoreChoice.parse(SmallFile.read(storeFile()));
    if (last.kind() == StoreKind.SQLITE && !inFile) {
      return Optional.empty(); // Written when it was not known what the environment had chosen.
    }
    if (last.isOwnEtcd() && !etcd.isKnown()) {
      // Of that time, too: another's etcd, and nobody has written down which.
      return Optional.of(
          new StoreChoice(
              StoreKind.ETCD, etcdEndpoints().isEmpty() ? "…" : etcdEndpoints(), etcdPrefix()));
    }
    return Optional.of(last);
  }

  /**
   * Copies everything from one store to the other, which is that of the controller from then on.
   * Returns what was done, for people.
   *
   * @param etcdMembers of an etcd that is started for it; empty: as with {@link #startControlPlane}
   */
  public String migrateStore(StoreKind from, StoreKind to, Optional<Integer> etcdMembers) {
    if (from == to) {
      throw new CommandException(
          ExitCode.USAGE, "from %s to %s is no move".formatted(from, to), "Name two stores.");
    }
    if (isControllerUp()) {
      throw new CommandException(
          ExitCode.REFUSED, "the controller is up, and its store in use", "Stop it: vireo down");
    }
    lastStore().ifPresent(last -> requireSame(last, store(from)));
    StoreChoice inEtcd = store(StoreKind.ETCD);
    requireOwnEtcd(inEtcd, etcdMembers);
    List<String> settings = reach(inEtcd, etcdMembers);
    progress.step("copying from %s to %s".formatted(from, to));
    Daemon migration = daemons.get("migrate-store");
    try {
      daemons.launch(migration, programs -> programs.migrationCommand(from, to, settings));
      migration.awaitEnd(MIGRATION_TIMEOUT);
    } finally {
      migration.stop(Daemons.STOP_GRACE);
      etcd.stop();
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
    SmallFile.write(storeFile(), store(to).words());
    return "%s; what was in %s is left there".formatted(outcome, from);
  }

  /**
   * Starts this machine's worker unless it runs, and waits until its node is ready.
   *
   * @param poolSize how many VMM processes it keeps pre-started
   * @param kind of network namespace; one that runs stays in its own
   * @param networkPool addresses of its guests, a CIDR; empty: the worker's own choice
   */
  public void startWorker(int poolSize, NetworkKind kind, Optional<String> networkPool) {
    Daemon worker = daemons.get(WORKER);
    Optional<ProcessHandle> running = worker.process();
    boolean rootless =
        shallBeRootless(kind, running.map(LocalNetwork::isElsewhere)) && startNetwork(kind);
    if (running.isPresent()) {
      if (kind == NetworkKind.ROOTLESS && !rootless) {
        throw new CommandException(
            ExitCode.REFUSED,
            "the worker is up already, in this machine's network namespace",
            "Stop it, and try again: vireo down");
      }
      progress.step("the worker is up already");
      awaitWorker(worker);
      return;
    }
    progress.step("starting the worker");
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "--controller",
                rootless ? controllerSockets() : controllerAddresses(),
                "--node-id",
                LOCAL_NODE,
                "--pool",
                Integer.toString(poolSize)));
    networkPool.ifPresent(pool -> arguments.addAll(List.of("--network-pool", pool)));
    if (rootless) {
      arguments.add("--behind-pasta");
    }
    daemons.launch(
        worker,
        programs -> {
          arguments.addAll(List.of("--vmm", programs.vmmDirectory()));
          List<String> command = programs.workerCommand(arguments.toArray(String[]::new));
          return rootless ? network.inside(command) : command;
        });
    awaitWorker(worker);
  }

  private void awaitWorker(Daemon worker) {
    daemons.awaitReady(worker, startTimeout, () -> isReady(LOCAL_NODE));
  }

  /**
   * Whether the worker shall have a network namespace of its own.
   *
   * @param runsSo whether one that runs has
   */
  private static boolean shallBeRootless(NetworkKind kind, Optional<Boolean> runsSo) {
    boolean root = Environment.isRoot();
    if (kind == NetworkKind.ROOTLESS && root) {
      throw new CommandException(
          ExitCode.USAGE, "root needs no --network rootless", "Leave it out, or be another user.");
    }
    return !root && runsSo.orElse(kind != NetworkKind.HOST);
  }

  /** Whether there is one then. A node without is one all the same, unless it was asked for. */
  private boolean startNetwork(NetworkKind kind) {
    try {
      network.start();
      return true;
    } catch (CommandException e) {
      if (kind == NetworkKind.ROOTLESS || e.exitCode() == ExitCode.INTERRUPTED) {
        throw e;
      }
      progress.step("no networks for microVMs: " + e.problem().strip());
      progress.step("  " + e.remedy());
      network.stop();
      return false;
    }
  }

  /** Waits until this machine's worker has so many VMM processes pre-started. */
  public void awaitWarmVmms(int count) {
    daemons.awaitReady(
        daemons.get(WORKER),
        Daemons.START_TIMEOUT,
        () -> node(LOCAL_NODE, status -> status.getWarmVmms() >= count));
  }

  /** Starts an emulated node, which takes a while to become ready. */
  public void launchEmulatedNode(String id, String architecture, Map<String, String> labels) {
    if (!isControllerUp()) {
      throw new CommandException(
          ExitCode.UNAVAILABLE, "no controller runs on this machine", "Start one: vireo up");
    }
    Daemon node = daemons.get(EMULATED_NODE + id);
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
    daemons.launch(
        node, programs -> programs.emulatedNodeCommand(arguments.toArray(String[]::new)));
  }

  /** Waits until the controller calls an emulated node ready. */
  public void awaitEmulatedNode(String id) {
    daemons.awaitReady(daemons.get(EMULATED_NODE + id), EMULATED_START_TIMEOUT, () -> isReady(id));
  }

  /** Stops an emulated node. */
  public void stopEmulatedNode(String id) {
    Daemon node = daemons.get(EMULATED_NODE + id);
    if (!node.isRunning()) {
      throw new CommandException(
          ExitCode.NOT_FOUND,
          "no emulated node %s runs on this machine".formatted(id),
          "See the nodes: vireo node list");
    }
    node.stop(Daemons.STOP_GRACE);
  }

  /**
   * Stops everything: emulated nodes, the worker, its guests, the controller. What they keep on
   * disk stays. Returns what was stopped, for people.
   */
  public List<String> down() {
    forgetStoreOfNoController();
    List<String> stopped = new ArrayList<>(daemons.stopAll(LAST_TO_STOP));
    reapGuests();
    for (ProcessHandle leftover : Leftovers.of(state)) {
      stopped.add("a leftover process, " + leftover.pid());
      leftover.destroyForcibly();
      leftover.onExit().join();
    }
    daemons.deletePrograms();
    return stopped;
  }

  /** Stops what this object has started, the last first: somebody thought better of it. */
  public void abandon() {
    daemons.abandon();
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
    return !daemons.running(CONTROLLER).isEmpty();
  }

  /** VMMs outlive their worker by design: without one, somebody else has to end them. */
  private void reapGuests() {
    if (!Files.exists(state.resolve(WORKER).resolve(LOCAL_NODE))) {
      return;
    }
    daemons.run(
        daemons.get("reap"), programs -> programs.workerCommand("reap", "--node-id", LOCAL_NODE));
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

  /** Of the controllers here, with commas between. */
  private String controllerPorts() {
    if (!Files.exists(portFile())) {
      throw new IllegalStateException("the controller was not started by vireo up");
    }
    return SmallFile.read(portFile());
  }

  private String controllerAddresses() {
    return Stream.of(controllerPorts().split(",", -1))
        .map(port -> "127.0.0.1:" + port)
        .collect(Collectors.joining(","));
  }

  /** The same ones, for who is in another network namespace. */
  private String controllerSockets() {
    return IntStream.rangeClosed(1, lastControllers())
        .mapToObj(number -> "unix:" + state.resolve(controller(number).name()))
        .map(directory -> directory + "/controller.sock")
        .collect(Collectors.joining(","));
  }

  private Path storeBeforeFile() {
    return daemons.file("store.before");
  }

  private Path storeFile() {
    return daemons.file("store");
  }

  private Path portFile() {
    return daemons.file("controller-port");
  }

  /** Lets the next command in. The daemons go on. */
  @Override
  public void close() {
    daemons.close();
  }
}
