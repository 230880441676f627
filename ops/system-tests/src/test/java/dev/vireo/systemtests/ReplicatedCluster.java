package dev.vireo.systemtests;

import static org.awaitility.Awaitility.await;

import dev.vireo.bench.cluster.Host;
import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.cluster.OwnedProcesses;
import dev.vireo.bench.cluster.ReplicatedControlPlane;
import dev.vireo.bench.cluster.ReplicatedControlPlane.Member;
import dev.vireo.proto.v1.ListNodesRequest;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeServiceGrpc;
import dev.vireo.proto.v1.NodeStatus.Health;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A whole cluster of one's own: a control plane of three and three, and workers. */
final class ReplicatedCluster implements AutoCloseable {
  static final Duration PATIENCE = Duration.ofSeconds(60);

  private final OwnedProcesses processes;
  private final List<Host> workers;
  private final int pool;
  private final int others;
  final ReplicatedControlPlane controlPlane;
  final List<Member> etcd;
  final List<Member> controllers;

  private ReplicatedCluster(
      OwnedProcesses processes,
      int others,
      ReplicatedControlPlane controlPlane,
      List<Host> workers,
      int pool) {
    this.processes = processes;
    this.others = others;
    this.workers = List.copyOf(workers);
    this.pool = pool;
    this.controlPlane = controlPlane;
    this.etcd = controlPlane.etcd();
    this.controllers = controlPlane.controllers();
  }

  /** Starts all of it on the loopback address, with one worker, and waits until it is ready. */
  static ReplicatedCluster start(int pool) throws IOException {
    OwnedProcesses processes = OwnedProcesses.create("vireo-test");
    try {
      return start(processes, List.of(), _ -> Host.LOOPBACK, List.of(Host.LOOPBACK), pool);
    } catch (IOException | RuntimeException e) {
      processes.close();
      throw e;
    }
  }

  /**
   * Starts all of it, and waits until the nodes are ready.
   *
   * @param settings of each controller, as {@code -D…}
   * @param members where each member of the control plane runs, by its name
   * @param workers where each of the workers runs
   * @param pool VMM processes that each worker keeps ready
   */
  static ReplicatedCluster start(
      OwnedProcesses processes,
      List<String> settings,
      Function<String, Host> members,
      List<Host> workers,
      int pool)
      throws IOException {
    Installation installation = Installation.find();
    int others = processes.alive().size();
    ReplicatedControlPlane controlPlane =
        ReplicatedControlPlane.start(installation, processes, settings, members);
    ReplicatedCluster cluster =
        new ReplicatedCluster(processes, others, controlPlane, workers, pool);
    LocalCluster.installProbeImage(installation, cluster.cache());
    for (int number = 1; number <= workers.size(); number++) {
      cluster.startWorker(installation, number);
    }
    for (int number = 1; number <= workers.size(); number++) {
      cluster.awaitNode(number, Health.READY);
    }
    return cluster;
  }

  private void startWorker(Installation installation, int number) throws IOException {
    var _ =
        processes.start(
            Path.of(node(number) + ".log"),
            Map.of("VIREO_STATE_DIR", state().toString(), "VIREO_CACHE_DIR", cache().toString()),
            workers
                .get(number - 1)
                .command(
                    installation.workerCommand(
                        List.of(
                            "--controller",
                            controllers.stream()
                                .map(Member::address)
                                .collect(Collectors.joining(",")),
                            "--node-id",
                            node(number),
                            "--vmm",
                            installation.vmm().toString(),
                            "--pool",
                            Integer.toString(pool)))));
  }

  private static String node(int number) {
    return "node-" + number;
  }

  /** As any controller sees it that can say. */
  void awaitNode(int number, Health health) {
    await("%s to be %s".formatted(node(number), health))
        .atMost(PATIENCE)
        .until(() ->
            controllers.stream()
                .flatMap(this::nodes)
                .anyMatch(node ->
                    node.getMeta().getName().equals("nodes/" + node(number))
                        && node.getStatus().getHealth() == health));
  }

  /** None if it does not answer. */
  private Stream<Node> nodes(Member controller) {
    try {
      return NodeServiceGrpc.newBlockingStub(controller.channel())
          .withDeadlineAfter(1, TimeUnit.SECONDS)
          .listNodes(ListNodesRequest.getDefaultInstance())
          .getNodesList()
          .stream();
    } catch (StatusRuntimeException e) {
      return Stream.empty();
    }
  }

  /** What the workers keep, one directory for each microVM that is on a node. */
  List<String> microVmDirectories() throws IOException {
    List<String> all = new ArrayList<>();
    for (int number = 1; number <= workers.size(); number++) {
      Path node = state().resolve("worker").resolve(node(number)).resolve("microvms");
      try (Stream<Path> directories = Files.list(node)) {
        directories.map(path -> path.getFileName().toString()).forEach(all::add);
      }
    }
    return all;
  }

  /** How many its directory has while it runs no microVM and its reserves are full. */
  int ownProcesses() {
    return others + etcd.size() + controllers.size() + workers.size() * (1 + pool);
  }

  OwnedProcesses processes() {
    return processes;
  }

  private Path cache() {
    return processes.directory().resolve("cache");
  }

  private Path state() {
    return processes.directory().resolve("state");
  }

  @Override
  public void close() throws IOException {
    controlPlane.close();
    processes.close();
  }
}
