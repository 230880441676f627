package dev.vireo.bench.cluster;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.grpc.ManagedChannel;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Function;
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
  private final List<Member> etcd = new ArrayList<>();
  private final List<Member> controllers = new ArrayList<>();

  /** One process, by its host and the ports of its loopback address that it listens on. */
  public final class Member {
    private final String name;
    private final Host host;
    private final int port;
    private final int otherPort;
    private @Nullable ManagedChannel channel;
    private @Nullable Process process;

    private Member(String name, Host host) throws IOException {
      this.name = name;
      this.host = host;
      this.port = freePort();
      this.otherPort = freePort();
    }

    public String name() {
      return name;
    }

    public Host host() {
      return host;
    }

    /** Where a controller serves its API, and an etcd member its clients. */
    public String address() {
      return host.address() + ":" + port;
    }

    /** To a controller, from its own host; the same each time. */
    public synchronized ManagedChannel channel() {
      if (channel == null) {
        channel = host.channel("127.0.0.1", port);
      }
      return channel;
    }

    /** To a controller, over the network. */
    public ManagedChannel channelFrom(Host client) {
      return client.channel(host.address(), port);
    }

    private void start(List<String> command) throws IOException {
      process = processes.start(Path.of(name + ".log"), Map.of(), host.command(command));
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
        host.connect(port).close();
        return true;
      } catch (IOException e) {
        return false;
      }
    }

    private boolean leads() {
      return metrics(otherPort)
          .anyMatch(line -> line.startsWith("vireo_leader") && line.endsWith(" 1.0"));
    }

    private boolean leadsEtcd() {
      return metrics(port).anyMatch("etcd_server_is_leader 1"::equals);
    }

    /** Asked on its own host, so that a cut network hides nothing. */
    private Stream<String> metrics(int httpPort) {
      try (Socket socket = host.connect(httpPort)) {
        socket.setSoTimeout(1000);
        socket.getOutputStream().write("GET /metrics HTTP/1.0\r\n\r\n".getBytes(UTF_8));
        return new String(socket.getInputStream().readAllBytes(), UTF_8).lines();
      } catch (IOException e) {
        return Stream.empty();
      }
    }
  }

  private ReplicatedControlPlane(
      Installation installation,
      OwnedProcesses processes,
      List<String> settings,
      Function<String, Host> hosts)
      throws IOException {
    this.installation = installation;
    this.processes = processes;
    this.settings = List.copyOf(settings);
    for (int number = 1; number <= COUNT; number++) {
      etcd.add(member("etcd-" + number, hosts));
      controllers.add(member("controller-" + number, hosts));
    }
  }

  private Member member(String name, Function<String, Host> hosts) throws IOException {
    return new Member(name, hosts.apply(name));
  }

  /** Whether there is an etcd on this machine. */
  public static boolean hasEtcd() {
    return Stream.of(System.getenv("PATH").split(":"))
        .anyMatch(directory -> Files.isExecutable(Path.of(directory).resolve(ETCD)));
  }

  /** Starts all of it on the loopback address, and waits until a controller leads. */
  public static ReplicatedControlPlane start(
      Installation installation, OwnedProcesses processes, List<String> settings)
      throws IOException {
    return start(installation, processes, settings, _ -> Host.LOOPBACK);
  }

  /**
   * Starts all of it, and waits until a controller leads.
   *
   * @param processes which end it; their directory has its state and its logs
   * @param settings of each controller, as {@code -D…}
   * @param hosts where each member runs, by its name: etcd-1 … and controller-1 …
   */
  public static ReplicatedControlPlane start(
      Installation installation,
      OwnedProcesses processes,
      List<String> settings,
      Function<String, Host> hosts)
      throws IOException {
    ReplicatedControlPlane plane =
        new ReplicatedControlPlane(installation, processes, settings, hosts);
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
    return List.of(
        ETCD.toString(),
        "--name=" + member.name,
        "--max-txn-ops=512",
        "--data-dir=" + processes.directory().resolve(member.name),
        "--listen-client-urls=http://127.0.0.1:" + member.port,
        "--advertise-client-urls=http://" + member.address(),
        "--listen-peer-urls=http://127.0.0.1:" + member.otherPort,
        "--initial-advertise-peer-urls=" + peer(member),
        "--initial-cluster="
            + etcd.stream()
                .map(each -> each.name + "=" + peer(each))
                .collect(Collectors.joining(",")));
  }

  private static String peer(Member member) {
    return "http://" + member.host.address() + ":" + member.otherPort;
  }

  private List<String> controllerCommand(Member controller) throws IOException {
    List<String> all = new ArrayList<>(settings);
    all.add("-Dvireo.grpc.port=" + controller.port);
    all.add("-Dvireo.leader.address=" + controller.address());
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

  /** The etcd member that leads; waits for one. */
  public Member etcdLeader() throws IOException {
    return await(
        "an etcd member to lead", () -> etcd.stream().filter(Member::leadsEtcd).findFirst());
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
  }
}
