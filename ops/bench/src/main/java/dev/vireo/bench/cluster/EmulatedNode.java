package dev.vireo.bench.cluster;

import dev.vireo.proto.v1.ListNodesRequest;
import dev.vireo.proto.v1.NodeServiceGrpc;
import dev.vireo.proto.v1.NodeStatus.Health;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * An emulated node with the real worker in it, which has joined a cluster: where Linux guests run
 * on any host. It belongs to the cluster's processes.
 */
public final class EmulatedNode {
  /** A fresh machine first fetches packages, and makes of them what nodes and guests start from. */
  private static final Duration START_PATIENCE = Duration.ofMinutes(15);

  private static final Duration SHELL_PATIENCE = Duration.ofMinutes(4);
  private static final Duration BETWEEN_LOOKS = Duration.ofMillis(200);
  private static final String ID = "emulated";

  private final Installation installation;
  private final LocalCluster cluster;
  private int commands;

  private EmulatedNode(Installation installation, LocalCluster cluster) {
    this.installation = installation;
    this.cluster = cluster;
  }

  /** Starts it, and waits until it has joined. */
  public static EmulatedNode start(Installation installation, LocalCluster cluster)
      throws IOException {
    EmulatedNode node = new EmulatedNode(installation, cluster);
    String address = cluster.address();
    Path log = Path.of(ID + ".log");
    Process process =
        cluster
            .processes()
            .start(
                log,
                // The user's own cache: it has the packages and the outer machine's image.
                Map.of("VIREO_ROOT", installation.root().toString()),
                installation.emulatedNodeCommand(
                    "node",
                    "--controller-port",
                    address.substring(address.lastIndexOf(':') + 1),
                    "--node-id",
                    ID,
                    "--state-dir",
                    node.state().toString()));
    long deadline = System.nanoTime() + START_PATIENCE.toNanos();
    while (!node.isReady()) {
      if (!process.isAlive() || System.nanoTime() > deadline) {
        throw new IOException(
            "waited in vain for the emulated node; it says:\n"
                + Files.readString(cluster.processes().directory().resolve(log)));
      }
      LockSupport.parkNanos(BETWEEN_LOOKS.toNanos());
    }
    return node;
  }

  private boolean isReady() {
    try {
      return NodeServiceGrpc.newBlockingStub(cluster.channel())
          .withDeadlineAfter(10, TimeUnit.SECONDS)
          .listNodes(ListNodesRequest.getDefaultInstance())
          .getNodesList()
          .stream()
          .anyMatch(node ->
              node.getMeta().getName().equals("nodes/" + ID)
                  && node.getStatus().getHealth() == Health.READY);
    } catch (StatusRuntimeException notNow) {
      return false;
    }
  }

  private Path state() {
    return cluster.processes().directory().resolve(ID);
  }

  /**
   * Runs a shell command on the node, as root; what it prints is the answer.
   *
   * @throws IOException with all that was printed, unless its status is 0
   */
  public String shell(String command) throws IOException {
    Path output = Path.of("shell-" + ++commands + ".log");
    Process shell =
        cluster
            .processes()
            .start(
                output,
                Map.of(),
                installation.emulatedNodeCommand(
                    "exec",
                    "--timeout",
                    Long.toString(SHELL_PATIENCE.toSeconds()),
                    "--state-dir",
                    state().toString(),
                    command));
    boolean ended = ends(shell);
    String printed = Files.readString(cluster.processes().directory().resolve(output));
    if (!ended || shell.exitValue() != 0) {
      throw new IOException("the emulated node failed at: %s\n%s".formatted(command, printed));
    }
    return printed;
  }

  /** One that does not end in time is ended. */
  private static boolean ends(Process process) throws IOException {
    try {
      return process.waitFor(SHELL_PATIENCE.plusMinutes(1));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException();
    } finally {
      process.destroyForcibly();
    }
  }
}
