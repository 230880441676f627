package dev.vireo.worker;

import dev.vireo.images.ImageDirectory;
import dev.vireo.images.VireoCache;
import dev.vireo.worker.CommandLine.UsageException;
import dev.vireo.worker.network.Ipv4Network;
import dev.vireo.worker.session.ControllerAddress;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * How a worker is run.
 *
 * @param controllers of which one is dialled at a time
 * @param stateDirectory of this node: {@code <state-dir>/worker/<node-id>}
 * @param vmmHome directory of the runnable VMM
 * @param containerImages the cache of them
 * @param pullHome directory of the program that pulls them
 * @param networkPool addresses of its routed networks
 * @param behindPasta its network namespace is a user's own, which pasta connects to the machine's
 * @param poolSize idle VMM processes to keep
 * @param cpuOvercommit vCPUs promised for each CPU
 * @param memoryReserveMib memory not promised to guests; negative: 256 MiB and a twentieth
 * @param emulated this machine is an emulated node
 */
record WorkerOptions(
    List<ControllerAddress> controllers,
    String nodeId,
    Path stateDirectory,
    ImageDirectory images,
    Path vmmHome,
    Path containerImages,
    Path pullHome,
    Ipv4Network networkPool,
    boolean behindPasta,
    int poolSize,
    int cpuOvercommit,
    long memoryReserveMib,
    Map<String, String> labels,
    boolean emulated) {

  static final Set<String> WITH_VALUE =
      Set.of(
          "--controller",
          "--node-id",
          "--state-dir",
          "--images",
          "--vmm",
          "--container-images",
          "--oci",
          "--network-pool",
          "--pool",
          "--cpu-overcommit",
          "--memory-reserve-mib",
          "--label");

  static final Set<String> FLAGS = Set.of("--behind-pasta", "--emulated");

  static final String HELP =
      """
        --controller ADDRESS      HOST:PORT or unix:PATH (127.0.0.1:7420); of several controllers
                                  each: may be repeated, or with commas between
        --node-id ID              this node's name, [a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])? (the host name)
        --state-dir DIR           for all that must outlive this process
                                  ($VIREO_STATE_DIR, or /var/lib/vireo for root, or ~/.local/state/vireo)
        --images DIR              image store ($VIREO_CACHE_DIR/images, or ~/.cache/vireo/images)
        --vmm DIR                 the runnable VMM (the one built or installed beside this program)
        --container-images DIR    cache of container images ($VIREO_CACHE_DIR/images-oci)
        --oci DIR                 the program that pulls them (beside this program, as the VMM)
        --network-pool CIDR       IPv4 addresses for microVMs with a routed network, nobody else's on
                                  this host or behind it (10.213.0.0/16); /8 to /29
        --behind-pasta            this network namespace is a user's own, and pasta(1) connects it, as
                                  vireo up does: ports are published by TCP, at 127.0.0.1 or 0.0.0.0
        --pool N                  idle VMM processes to keep warm, 0 to 10000 (2)
        --cpu-overcommit N        vCPUs to promise for each CPU, 1 to 1000 (128: guests that mostly
                                  idle; memory is what fills such a node)
        --memory-reserve-mib N    memory not to promise (256 MiB and a twentieth of all)
        --label KEY=VALUE         for node selectors; may be repeated
        --emulated                say that this machine is an emulated node
      """;

  private static final String NODE_ID = "[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?";

  static WorkerOptions of(CommandLine line, Map<String, String> environment) throws UsageException {
    String nodeId = nodeId(line);
    return new WorkerOptions(
        controllers(line),
        nodeId,
        stateRoot(line, environment).resolve("worker").resolve(nodeId),
        line.value("--images")
            .map(path -> new ImageDirectory(Path.of(path).toAbsolutePath()))
            .orElseGet(ImageDirectory::ofEnvironment),
        line.value("--vmm")
            .map(Path::of)
            .orElseGet(() -> beside("vmm", "vmm.args"))
            .toAbsolutePath(),
        line.value("--container-images")
            .map(Path::of)
            .orElseGet(() -> VireoCache.ofEnvironment().resolve("images-oci"))
            .toAbsolutePath(),
        line.value("--oci").map(Path::of).orElseGet(() -> beside("oci", "lib")).toAbsolutePath(),
        networkPool(line),
        line.has("--behind-pasta"),
        (int) line.number("--pool", 2, 0, 10_000),
        (int) line.number("--cpu-overcommit", 128, 1, 1000),
        line.number("--memory-reserve-mib", -1, 0, Integer.MAX_VALUE),
        line.pairs("--label"),
        line.has("--emulated"));
  }

  private static List<ControllerAddress> controllers(CommandLine line) throws UsageException {
    List<String> given = line.values("--controller");
    try {
      return (given.isEmpty() ? List.of("127.0.0.1:7420") : given)
          .stream()
              .flatMap(addresses -> Stream.of(addresses.split(",", -1)))
              .map(ControllerAddress::parse)
              .toList();
    } catch (IllegalArgumentException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
  }

  private static Ipv4Network networkPool(CommandLine line) throws UsageException {
    String given = line.value("--network-pool").orElse("10.213.0.0/16");
    try {
      Ipv4Network pool = Ipv4Network.parse(given);
      if (pool.canBeAPool()) {
        return pool;
      }
    } catch (IllegalArgumentException e) {
      // Told below.
    }
    throw new UsageException(
        "--network-pool is an IPv4 network of /8 to /29 such as 10.213.0.0/16, and no loopback,"
            + " link-local or multicast one; not \"%s\"".formatted(given));
  }

  static String nodeId(CommandLine line) throws UsageException {
    String id = line.value("--node-id").orElseGet(WorkerOptions::hostName);
    if (!id.matches(NODE_ID)) {
      throw new UsageException("--node-id must match " + NODE_ID + ", not \"" + id + "\"");
    }
    return id;
  }

  private static String hostName() {
    try {
      return InetAddress.getLocalHost().getHostName().toLowerCase(Locale.ROOT);
    } catch (UnknownHostException e) {
      return "localhost";
    }
  }

  /** The directory that holds every node's state on this machine. */
  static Path stateRoot(CommandLine line, Map<String, String> environment) {
    @Nullable String named = line.value("--state-dir").orElse(environment.get("VIREO_STATE_DIR"));
    if (named != null && !named.isBlank()) {
      return Path.of(named).toAbsolutePath();
    }
    return System.getProperty("user.name").equals("root")
        ? Path.of("/var/lib/vireo")
        : Path.of(System.getProperty("user.home"), ".local/state/vireo");
  }

  /** As installed ({@code worker/lib}, {@code vmm}), else as built in the source tree. */
  private static Path beside(String program, String file) {
    Path lib = libraryDirectory();
    List<Path> candidates =
        List.of(
            lib.resolve("../..").resolve(program).normalize(),
            lib.resolve("../../../..")
                .resolve(program)
                .resolve("target")
                .resolve(program)
                .normalize());
    return Stream.concat(
            candidates.stream().filter(home -> Files.exists(home.resolve(file))),
            candidates.stream())
        .findFirst()
        .orElseThrow();
  }

  private static Path libraryDirectory() {
    try {
      Path code =
          Path.of(WorkerOptions.class.getProtectionDomain().getCodeSource().getLocation().toURI());
      return code.toAbsolutePath().getParent() == null ? code : code.toAbsolutePath().getParent();
    } catch (java.net.URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }
}
