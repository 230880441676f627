package dev.vireo.bench.control;

import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.OwnedProcesses;
import dev.vireo.proto.v1.ListNodesRequest;
import dev.vireo.proto.v1.NodeServiceGrpc;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.NettyChannelBuilder;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** A controller as {@code vireo up} starts it, on a store of one's choice. */
final class ControllerProcess implements AutoCloseable {
  private static final Duration START = Duration.ofSeconds(60);
  private static final double BYTES_PER_MIB = 1024 * 1024;

  private final Process process;
  private final int grpcPort;
  private final int httpPort;
  private final HttpClient http = HttpClient.newHttpClient();

  private ControllerProcess(Process process, int grpcPort, int httpPort) {
    this.process = process;
    this.grpcPort = grpcPort;
    this.httpPort = httpPort;
  }

  /**
   * Starts it and waits until it answers.
   *
   * @param settings of its store
   */
  static ControllerProcess start(
      Installation installation, OwnedProcesses owned, String name, List<String> settings)
      throws IOException, InterruptedException {
    int grpcPort = freePort();
    int httpPort = freePort();
    List<String> properties = new ArrayList<>(settings);
    properties.add("-Dquarkus.grpc.server.port=" + grpcPort);
    properties.add("-Dquarkus.http.port=" + httpPort);
    // A line for each create is a file's business, and not what is measured.
    properties.add("-Dquarkus.log.level=WARN");
    Process process =
        owned.start(
            Path.of(name + ".log"),
            Map.of("VIREO_STATE_DIR", owned.directory().resolve(name).toString()),
            installation.controllerCommand(properties));
    ControllerProcess controller = new ControllerProcess(process, grpcPort, httpPort);
    controller.awaitAnswer();
    return controller;
  }

  private void awaitAnswer() throws IOException, InterruptedException {
    ManagedChannel channel = channel();
    try {
      long end = System.nanoTime() + START.toNanos();
      while (!answers(channel)) {
        if (!process.isAlive() || System.nanoTime() > end) {
          throw new IOException("the controller did not start");
        }
        Thread.sleep(50);
      }
    } finally {
      channel.shutdownNow();
    }
  }

  private static boolean answers(ManagedChannel channel) {
    try {
      var _ =
          NodeServiceGrpc.newBlockingStub(channel)
              .withDeadlineAfter(2, TimeUnit.SECONDS)
              .listNodes(ListNodesRequest.getDefaultInstance());
      return true;
    } catch (StatusRuntimeException notYet) {
      return false;
    }
  }

  /** A connection of its own, which the caller closes. */
  ManagedChannel channel() {
    return NettyChannelBuilder.forAddress("127.0.0.1", grpcPort).usePlaintext().build();
  }

  long pid() {
    return process.pid();
  }

  /** How many commits its store has done so far. */
  double commits() throws IOException, InterruptedException {
    return sum("vireo_store_call_seconds_count", "call=\"commit\"", "outcome=\"done\"");
  }

  /** Of its heap, what is in use after a collection. */
  double heapMib() throws IOException, InterruptedException {
    Process jcmd =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "jcmd").toString(),
                Long.toString(process.pid()),
                "GC.run")
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    if (jcmd.waitFor() != 0) {
      throw new IOException("jcmd could not have the controller collect its garbage");
    }
    return sum("jvm_memory_used_bytes", "area=\"heap\"") / BYTES_PER_MIB;
  }

  /** The sum of a metric's samples that have all these labels. */
  private double sum(String metric, String... labels) throws IOException, InterruptedException {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + httpPort + "/metrics")).build();
    return http.send(request, BodyHandlers.ofLines())
        .body()
        .filter(line -> line.startsWith(metric + "{"))
        .filter(line -> List.of(labels).stream().allMatch(line::contains))
        .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)))
        .sum();
  }

  static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    }
  }

  @Override
  public void close() {
    http.close();
    OwnedProcesses.stop(process);
  }
}
