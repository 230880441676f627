package dev.vireo.systemtests;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.OwnedProcesses;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * A machine whose user, who is not root, has an installation of Vireo: a network namespace behind
 * another one, the Internet, in which that user may open /dev/kvm and /dev/net/tun.
 */
final class UnprivilegedMachine implements AutoCloseable {
  static final String ADDRESS = "203.0.113.2";
  static final String OTHER_ADDRESS = "10.99.0.1";
  static final String ROUTER = "203.0.113.1";
  static final String WEB = "198.51.100.7";
  static final String METADATA = "169.254.169.254";
  static final int PORT = 7420;

  /** The probe, as a kernel that can run containers: only such have networks. */
  static final String KERNEL = "probe-with-agent";

  /** A container image that no probe looks at. */
  static final String CONTAINER = "docker.io/vireo-tests/nothing:1";

  /** Of nobody else's processes. */
  private static final int USER = 61_234;

  /** A mount namespace for each command: the machine's own devices stay as they are. */
  private static final String AS_USER =
      """
      devices=$1 user=$2
      shift 2
      mount -t tmpfs -o mode=755 devices "$devices"
      cp -a /dev/kvm /dev/net/tun "$devices"
      chmod 666 "$devices/kvm" "$devices/tun"
      mount --bind "$devices/kvm" /dev/kvm
      mount --bind "$devices/tun" /dev/net/tun
      exec setpriv --reuid "$user" --regid "$user" --clear-groups "$@"
      """;

  private final Installation installation;
  private final OwnedProcesses processes;
  private final NetworkNamespace machine;
  private final NetworkNamespace internet;

  /** How a command ended, and all it has printed. */
  record Result(int exitCode, String output) {}

  UnprivilegedMachine(Installation installation) throws IOException {
    this.installation = installation;
    this.processes = OwnedProcesses.create("rootless");
    this.machine = NetworkNamespace.create(processes, ADDRESS);
    this.internet = NetworkNamespace.create(processes, WEB);
    machine.run(
        """
        ip link add eth0 type veth peer name uplink netns %d
        ip addr add 203.0.113.2/24 dev eth0
        ip link set eth0 up
        ip route add default via 203.0.113.1
        ip link add other type veth peer name unplugged
        ip addr add 10.99.0.1/24 dev other
        ip link set unplugged up
        ip link set other up
        """
            .formatted(internet.holder()),
        "");
    internet.run(
        """
        ip addr add 203.0.113.1/24 dev uplink
        ip link set uplink up
        ip addr add 198.51.100.7/32 dev lo
        ip addr add 169.254.169.254/32 dev lo
        """,
        "");
    Path home = processes.directory();
    Files.setPosixFilePermissions(home, PosixFilePermissions.fromString("rwx--x--x"));
    for (String directory : List.of("devices", "state", "cache")) {
      Files.setAttribute(Files.createDirectory(home.resolve(directory)), "unix:uid", USER);
    }
    String tree = installation.root().toString();
    assumeTrue(
        as(List.of("test", "-r", tree + "/ops/cli/target/cli/lib")).exitCode() == 0,
        tree + " is not everybody's to read");
    installKernel(home.resolve("cache/images").resolve(KERNEL));
  }

  private void installKernel(Path image) throws IOException {
    Files.createDirectories(image);
    Files.copy(installation.probe(), image.resolve("probe.elf"));
    Files.write(image.resolve("nothing"), new byte[4096]);
    Files.writeString(
        image.resolve("image.properties"),
        """
        name = %s
        architecture = x86_64
        guest_kind = bare-metal
        announcements = cmdline
        min_memory_mib = 16
        kernel = probe.elf
        agent_initramfs = nothing
        writable_disk = nothing
        """
            .formatted(KERNEL));
  }

  NetworkNamespace namespace() {
    return machine;
  }

  NetworkNamespace internet() {
    return internet;
  }

  /** A command of Vireo's, by its user. */
  Result vireo(String... arguments) throws IOException {
    Path libraries = installation.root().resolve("ops/cli/target/cli/lib");
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin/java").toString(),
                "-XX:TieredStopAtLevel=1",
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-Dvireo.root=" + installation.root(),
                "-cp",
                libraries + "/*",
                "dev.vireo.cli.Main"));
    command.addAll(List.of(arguments));
    return as(command);
  }

  /** Starts what does not run. */
  Result up() throws IOException {
    return vireo("up", "--network", "rootless", "--pool-size", "1", "-o", "name");
  }

  /** Brings {@link #CONTAINER} to the node, which is up. */
  Result loadContainerImage() throws IOException {
    Path archive = processes.directory().resolve("nothing.tar");
    byte[] layer = SavedImage.layer(installation.probe(), "nothing");
    Files.write(archive, SavedImage.of(CONTAINER, "amd64", layer));
    return vireo("image", "load", archive.toString(), "--node", "local");
  }

  private Result as(List<String> command) throws IOException {
    List<String> all =
        new ArrayList<>(
            List.of(
                "unshare",
                "--mount",
                "sh",
                "-ec",
                AS_USER,
                "as-user",
                processes.directory().resolve("devices").toString(),
                Integer.toString(USER)));
    all.addAll(command);
    ProcessBuilder builder = new ProcessBuilder(machine.command(all)).redirectErrorStream(true);
    builder.environment().put("HOME", processes.directory().toString());
    builder.environment().put("VIREO_STATE_DIR", state().toString());
    builder.environment().put("VIREO_CACHE_DIR", processes.directory().resolve("cache").toString());
    Process process = builder.start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return new Result(process.onExit().join().exitValue(), output);
  }

  private Path state() {
    return processes.directory().resolve("state");
  }

  /** As {@code kill -9} does it, of a daemon by its record. */
  void kill(String daemon) throws IOException {
    String record = Files.readString(state().resolve("daemons").resolve(daemon).resolve("process"));
    ProcessHandle process =
        ProcessHandle.of(Long.parseLong(record.split(" ", -1)[0])).orElseThrow();
    process.destroyForcibly();
    while (runsAsUser(process)) {
      Thread.onSpinWait();
    }
  }

  /** All processes of the user, wherever they are. */
  List<String> processesOfUser() {
    try (Stream<ProcessHandle> all = ProcessHandle.allProcesses()) {
      return all.filter(UnprivilegedMachine::runsAsUser)
          .map(process -> process.pid() + " " + process.info().commandLine().orElse("?"))
          .toList();
    }
  }

  /** One that nobody has waited for yet runs no more. */
  private static boolean runsAsUser(ProcessHandle process) {
    try {
      List<String> status =
          Files.readAllLines(Path.of("/proc", Long.toString(process.pid()), "status"));
      return status.stream().anyMatch(line -> line.startsWith("Uid:\t" + USER + "\t"))
          && status.stream().noneMatch(line -> line.startsWith("State:\tZ"));
    } catch (IOException e) {
      // It has ended.
      return false;
    }
  }

  @Override
  public void close() throws IOException {
    processes.close();
  }
}
