package dev.vireo.systemtests;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.cluster.OwnedProcesses;
import dev.vireo.proto.v1.ListNodesRequest;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeServiceGrpc;
import dev.vireo.proto.v1.NodeStatus.Health;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * A controller and an emulated node with the real worker in it: where Linux guests run on any host.
 * Both are gone when it is closed, and when this JVM dies.
 */
final class LinuxCluster implements AutoCloseable {
  static final String NODE = "emulated";

  /** An emulated CPU that shares two real ones with whatever else the machine does. */
  static final Duration PATIENCE = Duration.ofMinutes(4);

  private static final List<String> PROGRAMS =
      List.of("qemu-system-x86_64", "mke2fs", "setpriv", "apt-get", "dpkg-deb");

  private final Installation installation;
  private final OwnedProcesses processes;
  private final LocalCluster cluster;

  private LinuxCluster(Installation installation, OwnedProcesses processes, LocalCluster cluster) {
    this.installation = installation;
    this.processes = processes;
    this.cluster = cluster;
  }

  /** Starts both and waits until the node has joined. Aborts a test where it cannot run. */
  static LinuxCluster start() throws IOException {
    for (String program : PROGRAMS) {
      assumeTrue(isInstalled(program), "the linux tier needs " + program);
    }
    Installation installation = Installation.find();
    OwnedProcesses processes = OwnedProcesses.create("vireo-linux");
    var started =
        new LinuxCluster(installation, processes, LocalCluster.create(installation, processes));
    try {
      started.cluster.startController();
      started.startNode();
      return started;
    } catch (IOException | RuntimeException e) {
      started.close();
      throw e;
    }
  }

  private static boolean isInstalled(String program) {
    return Stream.of("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin")
        .anyMatch(directory -> Files.isExecutable(Path.of(directory, program)));
  }

  private void startNode() throws IOException {
    String authority = cluster.channel().authority();
    Process node =
        processes.start(
            Path.of("node.log"),
            // The user's own cache: it has the packages and the outer machine's image.
            Map.of("VIREO_ROOT", installation.root().toString()),
            emulatedNode(
                "node",
                "--controller-port",
                authority.substring(authority.lastIndexOf(':') + 1),
                "--node-id",
                NODE,
                "--state-dir",
                nodeState().toString()));
    await("the emulated node has joined")
        .atMost(PATIENCE)
        .until(() -> isReady() || !node.isAlive());
    if (!node.isAlive()) {
      throw new IOException(
          "the emulated node has ended:\n"
              + Files.readString(processes.directory().resolve("node.log")));
    }
  }

  private List<String> emulatedNode(String... arguments) {
    Path libraries = installation.root().resolve("ops/emulated-node/target/emulated-node/lib");
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin/java").toString(),
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                libraries + "/*",
                "dev.vireo.emulated.Main"));
    command.addAll(List.of(arguments));
    return command;
  }

  private Path nodeState() {
    return processes.directory().resolve("node");
  }

  private boolean isReady() {
    return NodeServiceGrpc.newBlockingStub(cluster.channel())
        .withDeadlineAfter(10, TimeUnit.SECONDS)
        .listNodes(ListNodesRequest.getDefaultInstance())
        .getNodesList()
        .stream()
        .map(Node::getStatus)
        .anyMatch(status -> status.getHealth() == Health.READY);
  }

  LinuxGuests guests() {
    return new LinuxGuests(cluster.channel());
  }

  /** Runs a shell command on the node, as root. */
  void onNode(String command) throws IOException {
    Process shell =
        processes.start(
            Path.of("shell.log"),
            Map.of(),
            emulatedNode("exec", "--state-dir", nodeState().toString(), command));
    int status = shell.onExit().join().exitValue();
    if (status != 0) {
      throw new IOException("status %d of: %s".formatted(status, command));
    }
  }

  @Override
  public void close() throws IOException {
    cluster.close();
    processes.close();
  }
}
