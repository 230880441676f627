package dev.vireo.cli.local;

import dev.vireo.cli.CommandException;
import dev.vireo.cli.ExitCode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * An etcd of Vireo's own on this machine. Its members are those of the first time: they know each
 * other by their ports.
 */
final class LocalEtcd {
  /** What the names of its daemons begin with. */
  static final String NAME = "etcd";

  private final Daemons daemons;
  private final Progress progress;

  LocalEtcd(Daemons daemons, Progress progress) {
    this.daemons = daemons;
    this.progress = progress;
  }

  /**
   * Starts the members that do not run; returns what a controller must know of it.
   *
   * @param asked how many members there shall be; empty: as many as there are, at first one
   */
  List<String> start(Optional<Integer> asked) {
    List<Member> members = members(asked);
    List<Member> missing = members.stream().filter(member -> !daemon(member).isRunning()).toList();
    if (!missing.isEmpty()) {
      requireInstalled();
      progress.step(
          members.size() == 1
              ? "starting etcd"
              : "starting etcd, %d members".formatted(members.size()));
    }
    for (Member member : missing) {
      daemons.launch(daemon(member), _ -> command(member, members));
    }
    for (Member member : missing) {
      daemons.awaitReady(daemon(member), Daemons.START_TIMEOUT, () -> isOpen(member.port));
    }
    return List.of(
        "-Dvireo.store=etcd",
        "-Dvireo.etcd.endpoints="
            + members.stream().map(Member::endpoint).collect(Collectors.joining(",")));
  }

  /** Whether there has ever been one here. */
  boolean isKnown() {
    return Files.exists(memberFile());
  }

  private Path memberFile() {
    return daemons.file("etcd-members");
  }

  void stop() {
    daemons.running(NAME).forEach(daemon -> daemon.stop(Daemons.STOP_GRACE));
  }

  /** One process of it. */
  private record Member(int number, int port, int peerPort) {
    String name() {
      return "vireo-" + number;
    }

    String endpoint() {
      return "http://127.0.0.1:" + port;
    }

    String peer() {
      return "http://127.0.0.1:" + peerPort;
    }
  }

  private Daemon daemon(Member member) {
    return daemons.get(NAME, member.number);
  }

  private List<Member> members(Optional<Integer> asked) {
    Path file = memberFile();
    List<String> lines =
        Files.exists(file)
            ? SmallFile.read(file).lines().toList()
            : Stream.generate(() -> freePort() + " " + freePort()).limit(asked.orElse(1)).toList();
    if (asked.isPresent() && asked.get() != lines.size()) {
      throw new CommandException(
          ExitCode.REFUSED,
          "the etcd in %s has %d members, not %d"
              .formatted(daemons.state(), lines.size(), asked.get()),
          "Leave --etcd-members out, or use another VIREO_STATE_DIR.");
    }
    SmallFile.write(file, String.join("\n", lines));
    return IntStream.rangeClosed(1, lines.size())
        .mapToObj(number -> {
          String[] ports = lines.get(number - 1).split(" ", -1);
          return new Member(number, Integer.parseInt(ports[0]), Integer.parseInt(ports[1]));
        })
        .toList();
  }

  private List<String> command(Member member, List<Member> all) {
    return List.of(
        "etcd",
        "--name=" + member.name(),
        // A gang of 256 is one commit.
        "--max-txn-ops=512",
        "--data-dir=" + daemons.state().resolve(daemon(member).name()),
        "--listen-client-urls=" + member.endpoint(),
        "--advertise-client-urls=" + member.endpoint(),
        "--listen-peer-urls=" + member.peer(),
        "--initial-advertise-peer-urls=" + member.peer(),
        "--initial-cluster="
            + all.stream()
                .map(each -> each.name() + "=" + each.peer())
                .collect(Collectors.joining(",")));
  }

  private static void requireInstalled() {
    boolean found =
        Stream.of(System.getenv("PATH").split(":"))
            .anyMatch(directory -> Files.isExecutable(Path.of(directory, "etcd")));
    if (!found) {
      throw new CommandException(
          ExitCode.FAILED, "etcd is not installed", "Install it: apt-get install etcd-server");
    }
  }

  private static int freePort() {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static boolean isOpen(int port) {
    try {
      new Socket(InetAddress.getLoopbackAddress(), port).close();
      return true;
    } catch (IOException e) {
      return false;
    }
  }
}
