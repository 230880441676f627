package dev.vireo.systemtests;

import static org.awaitility.Awaitility.await;

import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.cluster.OwnedProcesses;
import dev.vireo.bench.cluster.ReplicatedControlPlane;
import dev.vireo.bench.cluster.ReplicatedControlPlane.Member;
import dev.vireo.proto.v1.ListNodesRequest;
import dev.vireo.proto.v1.NodeServiceGrpc;
import dev.vireo.proto.v1.NodeStatus.Health;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A whole cluster of one's own: a control plane of three and three, and a worker. */
final class ReplicatedCluster implements AutoCloseable {
  static final Duration PATIENCE = Duration.ofSeconds(60);

  private static final String NODE = "local";

  private final OwnedProcesses processes;
  final ReplicatedControlPlane controlPlane;
  final List<Member> etcd;
  final List<Member> controllers;

  private ReplicatedCluster(OwnedProcesses processes, ReplicatedControlPlane controlPlane) {
    this.processes = processes;
    this.controlPlane = controlPlane;
    this.etcd = controlPlane.etcd();
    this.controllers = controlPlane.controllers();
  }

  /** Starts all of it, and waits until the node is ready. */
  static ReplicatedCluster start(int pool) throws IOException {
    OwnedProcesses processes = OwnedProcesses.create("vireo-test");
    try {
      Installation installation = Installation.find();
      ReplicatedCluster cluster =
          new ReplicatedCluster(
              processes, ReplicatedControlPlane.start(installation, processes, List.of()));
      cluster.startWorker(installation, pool);
      cluster.awaitNode();
      return cluster;
    } catch (IOException | RuntimeException e) {
      processes.close();
      throw e;
    }
  }

  private void startWorker(Installation installation, int pool) throws IOException {
    Path cache = processes.directory().resolve("cache");
    LocalCluster.installProbeImage(installation, cache);
    var _ =
        processes.start(
            Path.of("worker.log"),
            Map.of("VIREO_STATE_DIR", state().toString(), "VIREO_CACHE_DIR", cache.toString()),
            installation.workerCommand(
                List.of(
                    "--controller",
                    controllers.stream().map(Member::address).collect(Collectors.joining(",")),
                    "--node-id",
                    NODE,
                    "--vmm",
                    installation.vmm().toString(),
                    "--pool",
                    Integer.toString(pool))));
  }

  private void awaitNode() {
    await("the node to be ready")
        .atMost(PATIENCE)
        .ignoreExceptions()
        .until(() ->
            NodeServiceGrpc.newBlockingStub(controllers.getFirst().channel())
                .withDeadlineAfter(5, TimeUnit.SECONDS)
                .listNodes(ListNodesRequest.getDefaultInstance())
                .getNodesList()
                .stream()
                .anyMatch(node -> node.getStatus().getHealth() == Health.READY));
  }

  /** What the worker keeps, one directory for each microVM that is on its node. */
  List<String> microVmDirectories() throws IOException {
    Path all = state().resolve("worker").resolve(NODE).resolve("microvms");
    try (Stream<Path> directories = Files.list(all)) {
      return directories.map(path -> path.getFileName().toString()).toList();
    }
  }

  OwnedProcesses processes() {
    return processes;
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
