package dev.vireo.bench.cluster;

import dev.vireo.proto.v1.ListNodesRequest;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeServiceGrpc;
import dev.vireo.proto.v1.NodeStatus;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.NettyChannelBuilder;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A controller and a worker of one's own, as processes that can be stopped, killed and started
 * again.
 */
public final class LocalCluster implements AutoCloseable {
  /** The image that the worker's store holds. */
  public static final String PROBE_IMAGE = "probe";

  private static final String NODE = "local";
  private static final Duration PATIENCE = Patience.ofSeconds(60);
  private static final Duration ANSWER_WITHIN = Patience.ofSeconds(2);
  private static final Duration BETWEEN_LOOKS = Duration.ofMillis(20);

  private final Installation installation;
  private final OwnedProcesses processes;
  private final Map<String, String> environment;
  private final int grpcPort;
  private final int httpPort;
  private final ManagedChannel channel;
  private @Nullable Process controller;
  private @Nullable Process worker;

  private LocalCluster(
      Installation installation,
      OwnedProcesses processes,
      Map<String, String> environment,
      int grpcPort,
      int httpPort) {
    this.installation = installation;
    this.processes = processes;
    this.environment = Map.copyOf(environment);
    this.grpcPort = grpcPort;
    this.httpPort = httpPort;
    this.channel = NettyChannelBuilder.forAddress("127.0.0.1", grpcPort).usePlaintext().build();
  }

  /** Prepares directories and the probe's image; starts nothing yet. */
  public static LocalCluster create(Installation installation, OwnedProcesses processes)
      throws IOException {
    return create(installation, processes, Map.of());
  }

  /**
   * As {@link #create(Installation, OwnedProcesses)}.
   *
   * @param environment what both processes have in theirs besides
   */
  public static LocalCluster create(
      Installation installation, OwnedProcesses processes, Map<String, String> environment)
      throws IOException {
    LocalCluster cluster =
        new LocalCluster(installation, processes, environment, freePort(), freePort());
    installProbeImage(installation, cluster.cache());
    return cluster;
  }

  public Path stateDirectory() {
    return processes.directory().resolve("state");
  }

  /** Where the controller answers, as the command line takes it. */
  public String address() {
    return "127.0.0.1:" + grpcPort;
  }

  /** What the worker keeps, one directory for each microVM that is, or was begun, on its node. */
  public List<Path> microVmDirectories() throws IOException {
    try (Stream<Path> directories = Files.list(nodeDirectory().resolve("microvms"))) {
      return directories.toList();
    }
  }

  private Path nodeDirectory() {
    return stateDirectory().resolve("worker").resolve(NODE);
  }

  public OwnedProcesses processes() {
    return processes;
  }

  public ManagedChannel channel() {
    return channel;
  }

  public MicroVms microVms() {
    return new MicroVms(channel, "default");
  }

  public long controllerPid() {
    return running(controller).pid();
  }

  public long workerPid() {
    return running(worker).pid();
  }

  /** Starts the controller and waits until it answers. */
  public void startController() throws IOException {
    controller =
        processes.start(
            Path.of("controller.log"),
            environment(),
            installation.controllerCommand(controllerOptions()));
    await("the controller to answer", controller, "controller.log", () -> nodes().isPresent());
  }

  /** Starts the worker and waits until the controller calls its node ready. */
  public void startWorker(int pool) throws IOException {
    Process started =
        processes.start(
            Path.of("worker.log"), environment(), installation.workerCommand(workerOptions(pool)));
    worker = started;
    await(
        "the worker to join",
        started,
        "worker.log",
        () -> status().filter(node -> node.getHealth() == NodeStatus.Health.READY).isPresent());
  }

  public void stopWorker() {
    OwnedProcesses.stop(running(worker));
    worker = null;
  }

  /** SIGKILL. */
  public void killController() {
    kill(running(controller));
    controller = null;
  }

  /** SIGKILL; its VMMs live on. */
  public void killWorker() {
    kill(running(worker));
    worker = null;
  }

  /** Waits until so many pre-started VMMs are ready. */
  public void awaitWarmVmms(int count) throws IOException {
    await(
        count + " warm VMMs",
        running(worker),
        "worker.log",
        () -> status().filter(node -> node.getWarmVmms() >= count).isPresent());
  }

  /** The worker's node as the controller sees it; empty when there is none. */
  public Optional<NodeStatus> status() {
    return nodes().stream()
        .flatMap(List::stream)
        .filter(node -> node.getMeta().getName().equals("nodes/" + NODE))
        .map(Node::getStatus)
        .findFirst();
  }

  /** Empty when the controller does not answer. */
  private Optional<List<Node>> nodes() {
    try {
      return Optional.of(
          NodeServiceGrpc.newBlockingStub(channel)
              .withDeadlineAfter(ANSWER_WITHIN.toMillis(), TimeUnit.MILLISECONDS)
              .listNodes(ListNodesRequest.getDefaultInstance())
              .getNodesList());
    } catch (StatusRuntimeException notYet) {
      return Optional.empty();
    }
  }

  private void await(String what, Process process, String log, BooleanSupplier condition)
      throws IOException {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (!condition.getAsBoolean()) {
      if (!process.isAlive() || System.nanoTime() > deadline) {
        throw new IOException(
            "waited in vain for %s; %s ends with:%n%s".formatted(what, log, tail(log)));
      }
      LockSupport.parkNanos(BETWEEN_LOOKS.toNanos());
    }
  }

  private String tail(String log) throws IOException {
    List<String> lines = Files.readAllLines(processes.directory().resolve(log));
    return String.join("\n", lines.subList(Math.max(0, lines.size() - 20), lines.size()));
  }

  private Map<String, String> environment() {
    Map<String, String> all = new HashMap<>(environment);
    all.put("VIREO_STATE_DIR", stateDirectory().toString());
    all.put("VIREO_CACHE_DIR", cache().toString());
    return all;
  }

  private List<String> controllerOptions() {
    return List.of("-Dquarkus.grpc.server.port=" + grpcPort, "-Dquarkus.http.port=" + httpPort);
  }

  private List<String> workerOptions(int pool) throws IOException {
    return List.of(
        "--controller",
        "127.0.0.1:" + grpcPort,
        "--node-id",
        NODE,
        "--vmm",
        installation.vmm().toString(),
        "--pool",
        Integer.toString(pool));
  }

  private static Process running(@Nullable Process process) {
    if (process == null) {
      throw new IllegalStateException("not started");
    }
    return process;
  }

  private static void kill(Process process) {
    process.destroyForcibly().onExit().join();
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    }
  }

  private Path cache() {
    return processes.directory().resolve("cache");
  }

  /** Makes the probe an image of the store in a cache directory, where a worker looks for it. */
  public static void installProbeImage(Installation installation, Path cache) throws IOException {
    Path image = Files.createDirectories(cache.resolve("images").resolve(PROBE_IMAGE));
    Files.copy(installation.probe(), image.resolve("probe.elf"));
    Files.writeString(
        image.resolve("image.properties"),
        """
        name = %s
        architecture = x86_64
        guest_kind = bare-metal
        announcements = cmdline
        min_memory_mib = 16
        kernel = probe.elf
        """
            .formatted(PROBE_IMAGE));
  }

  /** Stops both processes in order. What they leave is the owner of the processes' to end. */
  @Override
  public void close() {
    channel.shutdownNow();
    for (Process process : new Process[] {worker, controller}) {
      if (process != null) {
        OwnedProcesses.stop(process);
      }
    }
  }
}
