package dev.vireo.bench.sandbox;

import dev.vireo.bench.Samples;
import dev.vireo.bench.cluster.GuestExec;
import dev.vireo.bench.cluster.HostCommand;
import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.cluster.OwnedProcesses;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.DoubleSupplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A command in a Linux guest by Vireo's exec, and by ssh into the same guest: dropbear there,
 * OpenSSH here, by a port that Vireo forwards, so that both go the same way. Turns are taken.
 */
final class ExecAndSsh {
  private static final int SSH = 22;
  private static final Duration PATIENCE = LinuxGuest.PATIENCE;
  private static final Duration BETWEEN_LOOKS = Duration.ofMillis(200);

  private static final Pattern FORWARDED = Pattern.compile("127\\.0\\.0\\.1:(\\d+) ->");

  private final LocalCluster cluster;
  private final Installation installation;
  private final SandboxPlan plan;
  private final Consumer<String> progress;

  ExecAndSsh(
      LocalCluster cluster,
      Installation installation,
      SandboxPlan plan,
      Consumer<String> progress) {
    this.cluster = cluster;
    this.installation = installation;
    this.plan = plan;
    this.progress = progress;
  }

  /**
   * Milliseconds of a command that does nothing.
   *
   * @param exec by Vireo
   * @param connected by a connection of ssh that is there (ControlMaster)
   * @param anew with a connection of its own
   */
  record Result(Samples exec, Samples connected, Samples anew) {}

  Result measure(LinuxGuest guest) throws IOException {
    progress.accept("An ssh server in the guest …");
    GuestExec exec = guest.exec();
    startServer(exec);
    Process forwarding = forward(guest);
    Process master = null;
    try {
      Ssh ssh = new Ssh(cluster.processes().directory(), awaitPort(forwarding));
      master = cluster.processes().start(Path.of("ssh.log"), Map.of(), ssh.master());
      ssh.awaitMaster(master);
      progress.accept("A command by exec and by ssh, %d times each …".formatted(plan.execs()));
      List<Double> byExec = new ArrayList<>();
      List<Double> connected = new ArrayList<>();
      // The first is of no account: what is loaded for it stays.
      for (int i = 0; i <= plan.execs(); i++) {
        add(byExec, i, () -> exec.millis("/bin/true"));
        add(connected, i, () -> ssh.millis(ssh.connected()));
      }
      progress.accept("%d connections of ssh …".formatted(plan.connections()));
      List<Double> anew = new ArrayList<>();
      for (int i = 0; i <= plan.connections(); i++) {
        add(anew, i, () -> ssh.millis(ssh.anew()));
      }
      return new Result(new Samples(byExec), new Samples(connected), new Samples(anew));
    } finally {
      if (master != null) {
        OwnedProcesses.stop(master);
      }
      OwnedProcesses.stop(forwarding);
    }
  }

  private static void add(List<Double> to, int i, DoubleSupplier millis) {
    double taken = millis.getAsDouble();
    if (i > 0) {
      to.add(taken);
    }
  }

  private void startServer(GuestExec exec) throws IOException {
    Path directory = cluster.processes().directory();
    HostCommand.run(directory, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "ssh-key");
    String key = Files.readString(directory.resolve("ssh-key.pub")).strip();
    GuestExec.Ended ended = exec.run("/bin/sh", "-c", startingServer(key));
    if (ended.status() != 0) {
      throw new IOException("no ssh server in the guest: " + ended);
    }
  }

  private static String startingServer(String key) {
    return """
    mkdir -p /root/.ssh /etc/dropbear && cd /root && chmod 700 . .ssh &&
    echo '%s' > .ssh/authorized_keys && chmod 600 .ssh/authorized_keys &&
    /usr/bin/dropbearkey -t ed25519 -f /etc/dropbear/dropbear_ed25519_host_key > /dev/null 2>&1 &&
    /usr/sbin/dropbear -s -p 127.0.0.1:%d > /dev/null 2>&1\
    """
        .formatted(key, SSH);
  }

  /** The command line's port-forward, which users would have. */
  private Process forward(LinuxGuest guest) throws IOException {
    return cluster
        .processes()
        .start(
            Path.of("forward.log"),
            Map.of("VIREO_SERVER", cluster.address()),
            List.of(
                Path.of(System.getProperty("java.home"), "bin/java").toString(),
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "--sun-misc-unsafe-memory-access=allow",
                "-cp",
                installation.root().resolve("ops/cli/target/cli/lib") + "/*",
                "dev.vireo.cli.Main",
                "port-forward",
                guest.id(),
                "0:" + SSH));
  }

  private int awaitPort(Process forwarding) throws IOException {
    Path log = cluster.processes().directory().resolve("forward.log");
    Matcher port = FORWARDED.matcher("");
    while (!port.reset(Files.readString(log)).find()) {
      if (!forwarding.isAlive()) {
        throw new IOException("the port is not forwarded: " + Files.readString(log));
      }
      pause();
    }
    return Integer.parseInt(port.group(1));
  }

  private static void pause() throws IOException {
    try {
      Thread.sleep(BETWEEN_LOOKS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException();
    }
  }

  /**
   * OpenSSH's client.
   *
   * @param directory with its key, and for its control socket
   * @param port of this machine, which is the guest's
   */
  private record Ssh(Path directory, int port) {
    private List<String> command(String... more) {
      List<String> command =
          new ArrayList<>(
              List.of(
                  "ssh",
                  "-F",
                  "/dev/null",
                  "-i",
                  directory.resolve("ssh-key").toString(),
                  "-p",
                  Integer.toString(port)));
      for (String option :
          List.of(
              "IdentitiesOnly=yes",
              "BatchMode=yes",
              "StrictHostKeyChecking=no",
              "UserKnownHostsFile=/dev/null",
              "LogLevel=ERROR",
              "ConnectTimeout=" + PATIENCE.toSeconds())) {
        command.addAll(List.of("-o", option));
      }
      command.addAll(List.of(more));
      return command;
    }

    private String control() {
      return directory.resolve("ssh-control").toString();
    }

    List<String> master() {
      return command("-M", "-N", "-S", control(), "root@127.0.0.1");
    }

    List<String> connected() {
      return command("-S", control(), "root@127.0.0.1", "true");
    }

    List<String> anew() {
      return command("-S", "none", "root@127.0.0.1", "true");
    }

    void awaitMaster(Process master) throws IOException {
      while (!Files.exists(Path.of(control()))) {
        if (!master.isAlive()) {
          throw new IOException(
              "ssh does not connect: " + Files.readString(directory.resolve("ssh.log")));
        }
        pause();
      }
    }

    double millis(List<String> command) {
      long start = System.nanoTime();
      try {
        HostCommand.run(directory, command.toArray(String[]::new));
      } catch (IOException e) {
        throw new java.io.UncheckedIOException(e);
      }
      return (System.nanoTime() - start) / 1e6;
    }
  }
}
