package dev.vireo.systemtests;

import static org.awaitility.Awaitility.await;

import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.cluster.OwnedProcesses;
import dev.vireo.proto.v1.ListNodesRequest;
import dev.vireo.proto.v1.NodeServiceGrpc;
import dev.vireo.proto.v1.NodeStatus.Health;
import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A whole control plane of one's own: an etcd of three members, three controllers and a worker,
 * each a process that can be killed, stopped and started again.
 */
final class ReplicatedCluster implements AutoCloseable {
  static final Duration PATIENCE = Duration.ofSeconds(60);

  private static final int COUNT = 3;
  private static final String NODE = "local";
  private static final Path PROGRAM = Path.of("etcd");

  private final OwnedProcesses processes;
  private final Installation installation;
  private final HttpClient http = HttpClient.newHttpClient();
  final List<Member> etcd = new ArrayList<>();
  final List<Member> controllers = new ArrayList<>();
  private final Member worker;

  /** One process, by the ports that it listens on. */
  final class Member {
    final String name;
    final int port;
    final int otherPort;
    private @Nullable ManagedChannel channel;
    private @Nullable Process process;

    Member(String name) throws IOException {
      this.name = name;
      this.port = freePort();
      this.otherPort = freePort();
    }

    private void start(List<String> command) throws IOException {
      process =
          processes.start(
              Path.of(name + ".log"),
              Map.of("VIREO_STATE_DIR", state().toString(), "VIREO_CACHE_DIR", cache().toString()),
              command);
    }

    long pid() {
      return Objects.requireNonNull(process).pid();
    }

    /** SIGKILL. */
    void kill() {
      Objects.requireNonNull(process).destroyForcibly().onExit().join();
    }

    /** SIGTERM, and its end. */
    void stop() {
      OwnedProcesses.stop(Objects.requireNonNull(process));
    }

    /** SIGSTOP: it is there, and does nothing. */
    void freeze() throws Exception {
      signal("-STOP");
    }

    void thaw() throws Exception {
      signal("-CONT");
    }

    private void signal(String signal) throws Exception {
      new ProcessBuilder("kill", signal, Long.toString(pid())).start().waitFor();
    }

    /** Of a controller. */
    ManagedChannel channel() {
      if (channel == null) {
        channel = NettyChannelBuilder.forAddress("127.0.0.1", port).usePlaintext().build();
      }
      return channel;
    }

    private boolean leads() {
      try {
        HttpRequest request =
            HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + otherPort + "/metrics"))
                .timeout(Duration.ofSeconds(1))
                .build();
        return http.send(request, HttpResponse.BodyHandlers.ofString())
            .body()
            .lines()
            .anyMatch(line -> line.startsWith("vireo_leader") && line.endsWith(" 1.0"));
      } catch (IOException e) {
        return false;
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
    }

    private boolean isListening() {
      try {
        new Socket(InetAddress.getLoopbackAddress(), port).close();
        return true;
      } catch (IOException e) {
        return false;
      }
    }
  }

  private ReplicatedCluster(OwnedProcesses processes) throws IOException {
    this.processes = processes;
    this.installation = Installation.find();
    LocalCluster.installProbeImage(installation, cache());
    for (int number = 1; number <= COUNT; number++) {
      etcd.add(new Member("etcd-" + number));
      controllers.add(new Member("controller-" + number));
    }
    worker = new Member("worker");
  }

  static boolean hasEtcd() {
    return Stream.of(System.getenv("PATH").split(":"))
        .anyMatch(directory -> Files.isExecutable(Path.of(directory).resolve(PROGRAM)));
  }

  /** Starts all of it, and waits until the node is ready. */
  static ReplicatedCluster start(int pool) throws IOException {
    OwnedProcesses processes = OwnedProcesses.create("vireo-test");
    try {
      ReplicatedCluster cluster = new ReplicatedCluster(processes);
      for (Member member : cluster.etcd) {
        cluster.startEtcd(member);
      }
      for (Member controller : cluster.controllers) {
        cluster.startController(controller);
      }
      cluster.worker.start(
          cluster.installation.workerCommand(
              List.of(
                  "--controller",
                  cluster.controllers.stream()
                      .map(controller -> "127.0.0.1:" + controller.port)
                      .collect(Collectors.joining(",")),
                  "--node-id",
                  NODE,
                  "--vmm",
                  cluster.installation.vmm().toString(),
                  "--pool",
                  Integer.toString(pool))));
      cluster.awaitNode();
      return cluster;
    } catch (IOException | RuntimeException e) {
      processes.close();
      throw e;
    }
  }

  void startEtcd(Member member) throws IOException {
    String client = "http://127.0.0.1:" + member.port;
    String peer = "http://127.0.0.1:" + member.otherPort;
    member.start(
        List.of(
            PROGRAM.toString(),
            "--name=" + member.name,
            "--max-txn-ops=512",
            "--data-dir=" + processes.directory().resolve(member.name),
            "--listen-client-urls=" + client,
            "--advertise-client-urls=" + client,
            "--listen-peer-urls=" + peer,
            "--initial-advertise-peer-urls=" + peer,
            "--initial-cluster="
                + etcd.stream()
                    .map(each -> each.name + "=http://127.0.0.1:" + each.otherPort)
                    .collect(Collectors.joining(","))));
  }

  void startController(Member controller) throws IOException {
    controller.start(
        installation.controllerCommand(
            List.of(
                "-Dvireo.grpc.port=" + controller.port,
                "-Dvireo.http.port=" + controller.otherPort,
                "-Dvireo.state-dir=" + processes.directory().resolve(controller.name),
                "-Dvireo.store=etcd",
                "-Dvireo.etcd.endpoints="
                    + etcd.stream()
                        .map(each -> "http://127.0.0.1:" + each.port)
                        .collect(Collectors.joining(",")))));
    await(controller.name).atMost(PATIENCE).until(controller::isListening);
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

  Member leader() {
    return await("a leader")
        .atMost(PATIENCE)
        .until(
            () -> controllers.stream().filter(Member::leads).findFirst().orElse(null),
            Objects::nonNull);
  }

  Member follower() {
    Member leader = leader();
    return controllers.stream().filter(each -> !each.equals(leader)).findFirst().orElseThrow();
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

  private Path cache() {
    return processes.directory().resolve("cache");
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    }
  }

  @Override
  public void close() throws IOException {
    for (Member controller : controllers) {
      if (controller.channel != null) {
        controller.channel.shutdownNow();
      }
    }
    processes.close();
  }
}
