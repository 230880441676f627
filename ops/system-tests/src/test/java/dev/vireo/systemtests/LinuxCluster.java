package dev.vireo.systemtests;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.cluster.OwnedProcesses;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.ListNodesRequest;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeServiceGrpc;
import dev.vireo.proto.v1.NodeStatus.Health;
import io.grpc.Channel;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.awaitility.core.ConditionTimeoutException;

/**
 * A controller and emulated nodes with the real worker in them, one of each architecture that is
 * asked for: where Linux guests run on any host. All are gone when it is closed, and when this JVM
 * dies.
 */
final class LinuxCluster implements AutoCloseable {
  /** An emulated CPU that shares two real ones with whatever else the machine does. */
  static final Duration PATIENCE = Duration.ofMinutes(4);

  /** A fresh machine first fetches packages, and makes of them what nodes and guests start from. */
  private static final Duration START_PATIENCE = Duration.ofMinutes(15);

  /** For the way to a node's shell and back, and a command before it. */
  private static final Duration SHELL_PATIENCE = Duration.ofMinutes(1);

  private static final List<String> PROGRAMS =
      List.of(
          "qemu-system-x86_64", "qemu-system-aarch64", "mke2fs", "setpriv", "apt-get", "dpkg-deb");

  /** Debian with programs that put devices under load. */
  static final String TOOLS_IMAGE = "debian-12-tools";

  /** Where {@link #mountTools} puts them on a node. */
  static final String TOOLS = "/tmp/tools";

  private final Installation installation;
  private final OwnedProcesses processes;
  private final LocalCluster cluster;
  private final Map<Architecture, Process> nodes = new EnumMap<>(Architecture.class);
  // Waited for once, not by each command that follows.
  private final Set<Architecture> standingStill = ConcurrentHashMap.newKeySet();
  private final AtomicInteger commands = new AtomicInteger();

  private LinuxCluster(Installation installation, OwnedProcesses processes, LocalCluster cluster) {
    this.installation = installation;
    this.processes = processes;
    this.cluster = cluster;
  }

  /** Starts the controller. Aborts a test where nodes cannot run. */
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

  /** Where images, packages and kernels are kept: see the README. */
  static Path cache() {
    String given = System.getenv("VIREO_CACHE_DIR");
    return given == null || given.isEmpty()
        ? Path.of(System.getProperty("user.home"), ".cache/vireo")
        : Path.of(given);
  }

  /** The name of the node of an architecture. */
  static String nameOf(Architecture architecture) {
    // A name has no underscore.
    return "emulated-" + label(architecture).replace('_', '-');
  }

  private static String label(Architecture architecture) {
    return architecture.name().toLowerCase(Locale.ROOT);
  }

  /** Starts what is missing of these nodes, and waits until they have joined. */
  void requireNodes(Collection<Architecture> architectures) throws IOException {
    for (Architecture architecture : architectures) {
      if (!nodes.containsKey(architecture)) {
        if (architecture == Architecture.X86_64) {
          PythonImage.pull(installation.root(), cache(), processes.directory());
        }
        nodes.put(architecture, startNode(architecture));
      }
    }
    for (Architecture architecture : architectures) {
      awaitNode(architecture);
    }
  }

  /**
   * Puts another in the place of a node that stands still, so that it fails one test and not all.
   */
  void replaceNodesThatStandStill() throws IOException {
    for (Architecture architecture : List.copyOf(nodes.keySet())) {
      if (!answers(architecture)) {
        System.out.printf(
            "%s stands still; another takes its place. Its console:%n%s%n",
            nameOf(architecture),
            Files.readString(nodeState(architecture).resolve("console.log"), ISO_8859_1));
        replaceNode(architecture);
      }
    }
  }

  private boolean answers(Architecture architecture) {
    try {
      var _ = askNode(architecture, "true", SHELL_PATIENCE);
      await(nameOf(architecture) + " is ready").atMost(PATIENCE).until(() -> isReady(architecture));
      return true;
    } catch (IOException | ConditionTimeoutException e) {
      System.out.println(nameOf(architecture) + " does not answer: " + e.getMessage());
      return false;
    }
  }

  private void replaceNode(Architecture architecture) throws IOException {
    OwnedProcesses.stop(Objects.requireNonNull(nodes.get(architecture)));
    await(nameOf(architecture) + " is known to be gone")
        .atMost(PATIENCE)
        .until(() -> !isReady(architecture));
    standingStill.remove(architecture);
    nodes.put(architecture, startNode(architecture));
    awaitNode(architecture);
  }

  private Process startNode(Architecture architecture) throws IOException {
    String authority = cluster.channel().authority();
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "node",
                "--arch",
                label(architecture),
                "--controller-port",
                authority.substring(authority.lastIndexOf(':') + 1),
                "--node-id",
                nameOf(architecture),
                "--state-dir",
                nodeState(architecture).toString()));
    if (compilesFor(architecture)) {
      arguments.addAll(List.of("--image", TOOLS_IMAGE));
    }
    return processes.start(
        log(architecture),
        // The user's own cache: it has the packages and the outer machine's image.
        Map.of("VIREO_ROOT", installation.root().toString()),
        installation.emulatedNodeCommand(arguments.toArray(String[]::new)));
  }

  /** Whether this host has what {@value #TOOLS_IMAGE} is made with. */
  private static boolean compilesFor(Architecture architecture) {
    return switch (architecture) {
      case X86_64 -> isInstalled("gcc");
      case ARM64 ->
          isInstalled("aarch64-linux-gnu-gcc")
              && Files.exists(Path.of("/usr/aarch64-linux-gnu/include/stdio.h"));
      default -> throw new IllegalArgumentException(architecture.toString());
    };
  }

  private static Path log(Architecture architecture) {
    return Path.of(nameOf(architecture) + ".log");
  }

  private void awaitNode(Architecture architecture) throws IOException {
    Process node = Objects.requireNonNull(nodes.get(architecture));
    await(nameOf(architecture) + " has joined")
        .atMost(START_PATIENCE)
        .until(() -> isReady(architecture) || !node.isAlive());
    if (!node.isAlive()) {
      throw new IOException(
          "the emulated node has ended:\n"
              + Files.readString(processes.directory().resolve(log(architecture))));
    }
  }

  private Path nodeState(Architecture architecture) {
    return processes.directory().resolve(nameOf(architecture));
  }

  private boolean isReady(Architecture architecture) {
    return node(architecture)
        .filter(node -> node.getStatus().getHealth() == Health.READY)
        .isPresent();
  }

  private Optional<Node> node(Architecture architecture) {
    return NodeServiceGrpc.newBlockingStub(cluster.channel())
        .withDeadlineAfter(10, TimeUnit.SECONDS)
        .listNodes(ListNodesRequest.getDefaultInstance())
        .getNodesList()
        .stream()
        .filter(node -> node.getMeta().getName().equals("nodes/" + nameOf(architecture)))
        .findFirst();
  }

  /** The command line, as somebody types it who is at the controller. */
  Vireo vireo() {
    return new Vireo(cluster);
  }

  /** SIGKILL. Nodes and their guests go on, and join again once there is one. */
  void killController() {
    cluster.killController();
  }

  /** Starts the one that was killed, and waits until its nodes have joined. */
  void startControllerAgain() throws IOException {
    cluster.startController();
    for (Architecture architecture : nodes.keySet()) {
      awaitNode(architecture);
    }
  }

  /** How many the controller's process has open. */
  int controllerDescriptors() throws IOException {
    Path descriptors = Path.of("/proc", Long.toString(cluster.controllerPid()), "fd");
    try (Stream<Path> open = Files.list(descriptors)) {
      return (int) open.count();
    }
  }

  /** To the controller. */
  Channel channel() {
    return cluster.channel();
  }

  LinuxGuests guests() {
    return new LinuxGuests(cluster.channel());
  }

  /** Whether a node has an image. */
  boolean hasImage(Architecture architecture, String image) {
    return node(architecture).orElseThrow().getStatus().getCapabilities().getImagesList().stream()
        .anyMatch(known -> known.getName().equals(image));
  }

  /** SIGKILL to a node's worker, which the node starts again. */
  void killWorker(Architecture architecture) throws IOException {
    onNode(
        architecture,
        """
        for process in /proc/[0-9]*; do
          ! grep -q worker.args $process/cmdline || kill -9 ${process#/proc/}
        done 2> /dev/null\
        """);
  }

  /** Runs a shell command on a node, as root, when those before it have ended. */
  void onNode(Architecture architecture, String command) throws IOException {
    var _ = askNode(architecture, command);
  }

  /** The same; what it prints is the answer. It is killed when it takes {@link #PATIENCE}. */
  String askNode(Architecture architecture, String command) throws IOException {
    return askNode(architecture, command, PATIENCE);
  }

  /**
   * The same.
   *
   * @param limit then it is killed
   * @throws IOException with all that was printed, unless its status is 0
   */
  String askNode(Architecture architecture, String command, Duration limit) throws IOException {
    if (standingStill.contains(architecture)) {
      throw new IOException(nameOf(architecture) + " stands still");
    }
    Path output = Path.of("shell-" + commands.incrementAndGet() + ".log");
    Process shell =
        processes.start(
            output,
            Map.of(),
            installation.emulatedNodeCommand(
                "exec",
                "--timeout",
                Long.toString(limit.toSeconds()),
                "--state-dir",
                nodeState(architecture).toString(),
                command));
    boolean ended = ends(shell, limit.plus(SHELL_PATIENCE));
    String printed = Files.readString(processes.directory().resolve(output));
    if (!ended) {
      standingStill.add(architecture);
      throw new IOException("no answer of %s: %s".formatted(nameOf(architecture), command));
    }
    if (shell.exitValue() != 0) {
      throw new IOException("status %d of: %s\n%s".formatted(shell.exitValue(), command, printed));
    }
    return printed;
  }

  /** One that does not end in time is ended. */
  private static boolean ends(Process process, Duration limit) throws IOException {
    try {
      return process.waitFor(limit);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException();
    } finally {
      process.destroyForcibly();
    }
  }

  /**
   * Mounts the root disk of the image {@value #TOOLS_IMAGE} at {@link #TOOLS} of a node, so that
   * its programs run there too, by {@code chroot}. They see the directories of microVMs, and may
   * write to {@code /run} and {@code /tmp}. Aborts a test where the image could not be made.
   */
  void mountTools(Architecture architecture) throws IOException {
    assumeTrue(
        hasImage(architecture, TOOLS_IMAGE),
        "there is no compiler for %s: %s is missing".formatted(architecture, TOOLS_IMAGE));
    onNode(
        architecture,
        """
        [ -e %1$s/bin/streams ] || {
          mkdir -p %1$s &&
          mount -o loop,ro -t ext4 /job/cache/images/%2$s/root.ext4 %1$s &&
          for directory in dev proc sys run tmp var/lib; do
            mount --bind /$directory %1$s/$directory || exit 1
          done
        }\
        """
            .formatted(TOOLS, TOOLS_IMAGE));
  }

  @Override
  public void close() throws IOException {
    cluster.close();
    processes.close();
  }
}
