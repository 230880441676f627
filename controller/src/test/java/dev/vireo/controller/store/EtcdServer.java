package dev.vireo.controller.store;

import static java.util.Objects.requireNonNull;
import static org.awaitility.Awaitility.await;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * An etcd of one member on loopback, of Debian's package {@code etcd-server}, with its data in
 * memory where that can be had. It ends with this process, however that ends.
 */
public final class EtcdServer implements AutoCloseable {
  /**
   * Ends the program when its own standard input does, and then removes the directory, its first
   * argument, if whoever wanted it is gone.
   */
  private static final String OWNED =
      """
      directory=$1; shift
      "$@" </dev/null & echo $!
      read _; kill -KILL $!; wait
      kill -0 "$PPID" || rm -rf "$directory"
      """;

  private final Path directory;
  private final String scheme;
  private final List<String> flags;
  private final int port;
  private final int peerPort;
  private Process shell;
  private String processId;

  private EtcdServer(String scheme, List<String> flags) throws IOException {
    this.scheme = scheme;
    this.flags = flags;
    Path memory = Path.of("/dev/shm");
    this.directory =
        Files.isWritable(memory)
            ? Files.createTempDirectory(memory, "vireo-etcd")
            : Files.createTempDirectory("vireo-etcd");
    try (ServerSocket one = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        ServerSocket two = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      this.port = one.getLocalPort();
      this.peerPort = two.getLocalPort();
    }
    shell = launch();
    processId = processId(shell);
    awaitPort();
  }

  public static boolean isInstalled() {
    return Stream.of(System.getenv("PATH").split(":"))
        .anyMatch(directory -> Files.isExecutable(Path.of(directory, "etcd")));
  }

  public static EtcdServer start() {
    return start("http", List.of());
  }

  static EtcdServer start(String scheme, List<String> flags) {
    try {
      return new EtcdServer(scheme, flags);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  public URI endpoint() {
    return URI.create("%s://127.0.0.1:%d".formatted(scheme, port));
  }

  Path directory() {
    return directory;
  }

  /** {@code kill -9}. */
  void kill() {
    try {
      shell.outputWriter().close();
      shell.waitFor();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  /** After a kill, on the same data and port. */
  void restart() {
    try {
      shell = launch();
      processId = processId(shell);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    awaitPort();
  }

  void pause() {
    signal("STOP");
  }

  void resume() {
    signal("CONT");
  }

  private void signal(String name) {
    try {
      new ProcessBuilder("kill", "-" + name, processId).start().waitFor();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  private Process launch() throws IOException {
    List<String> command =
        new ArrayList<>(List.of("sh", "-c", OWNED, "sh", directory.toString(), "etcd"));
    command.addAll(List.of("--data-dir", directory.resolve("data").toString()));
    command.addAll(List.of("--listen-client-urls", endpoint().toString()));
    command.addAll(List.of("--advertise-client-urls", endpoint().toString()));
    String peer = "http://127.0.0.1:" + peerPort;
    command.addAll(List.of("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer));
    command.addAll(List.of("--initial-cluster", "default=" + peer));
    command.add("--max-txn-ops=512");
    command.addAll(flags);
    File log = directory.resolve("log").toFile();
    return new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.appendTo(log)).start();
  }

  /** The shell says which process it started; etcd itself says nothing on standard output. */
  private static String processId(Process shell) throws IOException {
    BufferedReader said = shell.inputReader(StandardCharsets.UTF_8);
    return requireNonNull(said.readLine(), "etcd did not start");
  }

  private void awaitPort() {
    await("etcd, see " + directory.resolve("log"))
        .ignoreExceptions()
        .until(() -> {
          try (Socket _ = new Socket(InetAddress.getLoopbackAddress(), port)) {
            return true;
          }
        });
  }

  @Override
  public void close() {
    kill();
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
