package dev.vireo.bench.cluster;

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
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A control plane of one's own that does without any one of its processes: three controllers on an
 * etcd of three members, each of which can be killed, stopped and started again.
 */
public final class ReplicatedControlPlane implements AutoCloseable {
  private static final int COUNT = 3;
  private static final Duration PATIENCE = Patience.ofSeconds(60);
  private static final Duration BETWEEN_LOOKS = Duration.ofMillis(20);
  private static final Path ETCD = Path.of("etcd");

  private final Installation installation;
  private final OwnedProcesses processes;
  private final List<String> settings;
  private final HttpClient http = HttpClient.newHttpClient();
  private final List<Member> etcd = new ArrayList<>();
  private final List<Member> controllers = new ArrayList<>();

  /** One process, by the ports that it listens on. */
  public final class Member {
    private final String name;
    private final int port;
    private final int otherPort;
    private @Nullable ManagedChannel channel;
    private @Nullable Process process;

    private Member(String name) throws IOException {
      this.name = name;
      this.port = freePort();
      this.otherPort = freePort();
    }

    public String name() {
      return name;
    }

    /** Where a controller serves its API. */
    public String address() {
      return "127.0.0.1:" + port;
    }

    /** To a controller; the same each time. */
    public synchronized ManagedChannel channel() {
      if (channel == null) {
        channel = NettyChannelBuilder.forAddress("127.0.0.1", port).usePlaintext().build();
      }
      return channel;
    }

    private void start(List<String> command) throws IOException {
      process = processes.start(Path.of(name + ".log"), Map.of(), command);
    }

    private Process process() {
      if (process == null) {
        throw new IllegalStateException(name + " is not started");
      }
      return process;
    }

    /** SIGKILL. */
    public void kill() {
      process().destroyForcibly().onExit().join();
    }

    /** SIGTERM, and its end. */
    public void stop() {
      OwnedProcesses.stop(process());
    }

    /** SIGSTOP: it is there, and does nothing. */
    public void freeze() throws IOException, InterruptedException {
      signal("-STOP");
    }

    public void thaw() throws IOException, InterruptedException {
      signal("-CONT");
    }

    private void signal(String signal) throws IOException, InterruptedException {
      new ProcessBuilder("kill", signal, Long.toString(process().pid())).start().waitFor();
    }

    private boolean isListening() {
      try {
        new Socket(InetAddress.getLoopbackAddress(), port).close();
        return true;
      } catch (IOException e) {
        return false;
      }
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
        Thread.currentThread().interrupt();
        return false;
      }
    }
  }

  private ReplicatedControlPlane(
      Installation installation, OwnedProcesses processes, List<String> settings)
      throws IOException {
    this.installation = installation;
    this.processes = processes;
    this.settings = List.copyOf(settings);
    for (int number = 1; number <= COUNT; number++) {
      etcd.add(new Member("etcd-" + number));
      controllers.add(new Member("controller-" + number));
    }
  }

  /** Whether there is an etcd on this machine. */
  public static boolean hasEtcd() {
    return Stream.of(System.getenv("PATH").split(":"))
        .anyMatch(directory -> Files.isExecutable(Path.of(directory).resolve(ETCD)));
  }

  /**
   * Starts all of it, and waits until a controller leads.
   *
   * @param processes which end it; their directory has its state and its logs
   * @param settings of each controller, as {@code -D…}
   */
  public static ReplicatedControlPlane start(
      Installation installation, OwnedProcesses processes, List<String> settings)
      throws IOException {
    ReplicatedControlPlane plane = new ReplicatedControlPlane(installation, processes, settings);
    for (Member member : plane.etcd) {
      plane.launch(member);
    }
    for (Member controller : plane.controllers) {
      plane.launch(controller);
    }
    for (Member controller : plane.controllers) {
      plane.awaitListening(controller);
    }
    var _ = plane.leader();
    return plane;
  }

  public List<Member> etcd() {
    return List.copyOf(etcd);
  }

  public List<Member> controllers() {
    return List.copyOf(controllers);
  }

  /** Starts one that has ended, and waits until it can be reached. */
  public void restart(Member member) throws IOException {
    launch(member);
    awaitListening(member);
  }

  private void launch(Member member) throws IOException {
    member.start(etcd.contains(member) ? etcdCommand(member) : controllerCommand(member));
  }

  private List<String> etcdCommand(Member member) {
    String client = "http://" + member.address();
    String peer = peer(member);
    return List.of(
        ETCD.toString(),
        "--name=" + member.name,
        "--max-txn-ops=512",
        "--data-dir=" + processes.directory().resolve(member.name),
        "--listen-client-urls=" + client,
        "--advertise-client-urls=" + client,
        "--listen-peer-urls=" + peer,
        "--initial-advertise-peer-urls=" + peer,
        "--initial-cluster="
            + etcd.stream()
                .map(each -> each.name + "=" + peer(each))
                .collect(Collectors.joining(",")));
  }

  private static String peer(Member member) {
    return "http://127.0.0.1:" + member.otherPort;
  }

  private List<String> controllerCommand(Member controller) throws IOException {
    List<String> all = new ArrayList<>(settings);
    all.add("-Dvireo.grpc.port=" + controller.port);
    all.add("-Dvireo.http.port=" + controller.otherPort);
    all.add("-Dvireo.state-dir=" + processes.directory().resolve(controller.name));
    all.add("-Dvireo.store=etcd");
    all.add(
        "-Dvireo.etcd.endpoints="
            + etcd.stream()
                .map(each -> "http://" + each.address())
                .collect(Collectors.joining(",")));
    return installation.controllerCommand(all);
  }

  /** The controller that leads; waits for one. */
  public Member leader() throws IOException {
    return await(
        "a controller to lead", () -> controllers.stream().filter(Member::leads).findFirst());
  }

  /** A controller that does not lead, while another does. */
  public Member follower() throws IOException {
    Member leader = leader();
    return controllers.stream().filter(each -> !each.equals(leader)).findFirst().orElseThrow();
  }

  private void awaitListening(Member member) throws IOException {
    var _ =
        await(
            member.name + " to listen",
            () -> member.isListening() ? Optional.of(member) : Optional.empty());
  }

  private static <T> T await(String what, Supplier<Optional<T>> look) throws IOException {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (System.nanoTime() < deadline) {
      Optional<T> found = look.get();
      if (found.isPresent()) {
        return found.get();
      }
      LockSupport.parkNanos(BETWEEN_LOOKS.toNanos());
    }
    throw new IOException("waited in vain for " + what);
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    }
  }

  /** Closes what leads to it. The processes are their owner's to end. */
  @Override
  public void close() {
    for (Member controller : controllers) {
      synchronized (controller) {
        if (controller.channel != null) {
          controller.channel.shutdownNow();
        }
      }
    }
    http.close();
  }
}
