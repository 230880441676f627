package dev.vireo.cli.local;

import dev.vireo.cli.CommandException;
import dev.vireo.cli.ExitCode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A network namespace of a user who is not root, for this machine's worker and its guests: one
 * daemon holds it, another one, pasta(1), connects it to the machine's network. In it the user may
 * do what root may elsewhere, so that the worker has its interfaces and rules there as it has them
 * as root.
 *
 * <p>The addresses of the machine are that namespace's, too, and so, as anywhere, the node's own.
 * Questions for a resolver that is on the machine itself go there by way of pasta.
 */
final class LocalNetwork {
  /** What the names of its daemons begin with. */
  static final String NAME = "network";

  /**
   * What pasta answers for, as the first resolver of the machine. No guest reaches it by a CIDR
   * that is broad.
   */
  private static final String RESOLVER = "169.254.1.53";

  /**
   * Told of the machine's addresses, those that come later too, it joins or makes the namespace. Of
   * what it starts none outlives it.
   */
  private static final String OUTSIDE =
      """
      inside=$1; shift
      PATH=$PATH:/usr/sbin:/sbin
      port=$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)
      exec 3< <(ip -4 -o address; echo ready; exec setpriv --pdeathsig KILL ip -4 -o monitor address)
      exec "$@" bash -ec "$inside" network "$port"
      """;

  /** May be run again in a namespace that has it all. */
  private static final String INSIDE =
      """
      ip link set lo up
      echo "$1" >/proc/sys/net/ipv4/ip_unprivileged_port_start
      echo 1 >/proc/sys/net/ipv4/ip_forward
      # The way back from the resolver to who has asked at a loopback address.
      echo 1 >/proc/sys/net/ipv4/conf/default/route_localnet
      nft -f - <<'RULES'
      add table ip vireo_resolver
      delete table ip vireo_resolver
      table ip vireo_resolver {
        chain asked {
          type nat hook output priority -100;
          fib daddr type local udp dport 53 dnat to %1$s
        }
        chain masqueraded {
          type nat hook postrouting priority 100;
          ip daddr %1$s masquerade
        }
      }
      RULES
      while read -r line <&3; do
        if [[ $line == ready ]]; then
          echo ready
        elif [[ $line != Deleted* && $line =~ \\ inet\\ ([0-9.]+) && ${BASH_REMATCH[1]} != 127.* ]]; then
          ip address replace "${BASH_REMATCH[1]}/32" dev lo || true
        fi
      done
      exec sleep infinity
      """
          .formatted(RESOLVER);

  private final Daemons daemons;
  private final Progress progress;
  private final String searchPath;
  private final Path tun;

  LocalNetwork(Daemons daemons, Progress progress) {
    // Programs of the administrator are not always on a user's PATH.
    this(
        daemons,
        progress,
        System.getenv().getOrDefault("PATH", "") + ":/usr/sbin:/sbin",
        Path.of("/dev/net/tun"));
  }

  /**
   * @param searchPath of programs, as in {@code $PATH}
   * @param tun the device of tap interfaces
   */
  LocalNetwork(Daemons daemons, Progress progress, String searchPath, Path tun) {
    this.daemons = daemons;
    this.progress = progress;
    this.searchPath = searchPath;
    this.tun = tun;
  }

  /**
   * Starts what of it does not run. A namespace that is in use still is held again, with all that
   * is in it.
   *
   * @throws CommandException if there can be none here
   */
  void start() {
    Daemon holder = daemons.get(NAME);
    Daemon pasta = daemons.get(NAME + "-pasta");
    if (holder.isRunning() && pasta.isRunning()) {
      return;
    }
    requireProgram("pasta", "passt");
    requireProgram("nft", "nftables");
    requireProgram("ip", "iproute2");
    requireTun();
    if (!holder.isRunning()) {
      progress.step("starting the network");
      Optional<ProcessHandle> inside = processInside();
      if (inside.isEmpty()) {
        // What it connects, if it runs, nobody is in.
        pasta.stop(Daemons.STOP_GRACE);
      }
      daemons.launch(holder, _ -> holderCommand(inside));
      daemons.awaitReady(holder, Daemons.START_TIMEOUT, () -> holder.lastLine().equals("ready"));
    }
    if (!pasta.isRunning()) {
      progress.step("connecting the network");
      ProcessHandle process = holder.process().orElseThrow();
      daemons.launch(pasta, _ -> pastaCommand(process.pid()));
      daemons.awaitReady(pasta, Daemons.START_TIMEOUT, () -> hasDefaultRoute(process));
    }
  }

  void stop() {
    daemons.running(NAME).forEach(daemon -> daemon.stop(Daemons.STOP_GRACE));
  }

  /** The command as it is run in the namespace. {@link #start} comes before. */
  List<String> inside(List<String> command) {
    List<String> all = new ArrayList<>(joining(daemons.get(NAME).process().orElseThrow()));
    all.addAll(command);
    return all;
  }

  /** Whether the daemon, which runs, is in another network namespace than this process. */
  static boolean isElsewhere(ProcessHandle process) {
    try {
      return !namespace(Long.toString(process.pid())).equals(namespace("self"));
    } catch (IOException e) {
      // It has ended, or is another user's.
      return false;
    }
  }

  private static Path namespace(String process) throws IOException {
    return Files.readSymbolicLink(Path.of("/proc", process, "ns/net"));
  }

  /** A worker or a VMM whose holder was killed. */
  private Optional<ProcessHandle> processInside() {
    return Leftovers.of(daemons.state()).stream().filter(LocalNetwork::isElsewhere).findFirst();
  }

  private static List<String> holderCommand(Optional<ProcessHandle> inside) {
    List<String> command = new ArrayList<>(List.of("bash", "-ec", OUTSIDE, "network", INSIDE));
    command.addAll(
        inside
            .map(LocalNetwork::joining)
            .orElse(List.of("unshare", "--user", "--map-root-user", "--net")));
    return command;
  }

  private static List<String> joining(ProcessHandle inside) {
    return List.of(
        "nsenter",
        "--preserve-credentials",
        "--user",
        "--net",
        "--target",
        Long.toString(inside.pid()));
  }

  /**
   * Nothing of the machine's is mapped to an address that guests can send to. What listens in the
   * namespace is published, and the other way round, at its loopback addresses: so is a port taken
   * there that is taken here. Without {@code --tcp-ns} Debian 12's pasta publishes nothing.
   */
  List<String> pastaCommand(long holder) {
    List<String> command =
        new ArrayList<>(
            List.of(
                program("pasta").orElseThrow().toString(),
                "--foreground",
                "--quiet",
                "--config-net",
                "--ipv4-only",
                "--no-map-gw",
                "--tcp-ports=auto",
                "--tcp-ns=auto",
                "--udp-ports=none",
                "--udp-ns=none",
                "--dns-forward=" + RESOLVER));
    if (pastaHas("--host-lo-to-ns-lo")) {
      // What older versions do anyway.
      command.add("--host-lo-to-ns-lo");
    }
    command.add(Long.toString(holder));
    return command;
  }

  private boolean pastaHas(String option) {
    try {
      Process help =
          new ProcessBuilder(program("pasta").orElseThrow().toString(), "--help")
              .redirectErrorStream(true)
              .start();
      return new String(help.getInputStream().readAllBytes(), StandardCharsets.UTF_8)
          .contains(option);
    } catch (IOException e) {
      throw new CommandException(
          ExitCode.FAILED, "cannot run pasta: " + e, "Install it: apt-get install passt");
    }
  }

  private static boolean hasDefaultRoute(ProcessHandle process) {
    try (Stream<String> routes =
        Files.lines(Path.of("/proc", Long.toString(process.pid()), "net/route"))) {
      return routes.anyMatch(route -> route.split("\t", -1)[1].equals("00000000"));
    } catch (IOException e) {
      return false;
    }
  }

  private void requireProgram(String name, String debianPackage) {
    if (program(name).isEmpty()) {
      throw new CommandException(
          ExitCode.FAILED,
          name + " is not installed",
          "Install it, and try again: sudo apt-get install " + debianPackage);
    }
  }

  private void requireTun() {
    if (!Files.isReadable(tun) || !Files.isWritable(tun)) {
      throw new CommandException(
          ExitCode.FAILED,
          tun + " may not be opened by this user",
          "Debian lets everybody: sudo chmod 666 " + tun);
    }
  }

  private Optional<Path> program(String name) {
    return Stream.of(searchPath.split(":", -1))
        .filter(directory -> !directory.isEmpty())
        .map(directory -> Path.of(directory, name))
        .filter(Files::isExecutable)
        .findFirst();
  }
}
