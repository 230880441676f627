package dev.vireo.cli;

import io.grpc.ManagedChannel;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * Everything of the outer world that a command touches, so that a test can hand it another one.
 *
 * @param out what was asked for, and nothing else
 * @param err what a person may want to know besides
 * @param in read by commands in guests alone
 * @param tty where {@code in} comes from
 * @param terminal whether {@code out} is one, so that a guest's bytes must be made harmless
 * @param errTerminal whether {@code err} is one; it often is when the other is a pipe
 */
public record Environment(
    PrintStream out,
    PrintStream err,
    boolean terminal,
    boolean errTerminal,
    Clock clock,
    Map<String, String> variables,
    Function<ServerAddress, ManagedChannel> connector,
    InputStream in,
    Terminal tty) {

  /**
   * One without any input.
   *
   * @param terminal whether both outputs are one
   */
  public Environment(
      PrintStream out,
      PrintStream err,
      boolean terminal,
      Clock clock,
      Map<String, String> variables,
      Function<ServerAddress, ManagedChannel> connector) {
    this(
        out,
        err,
        terminal,
        terminal,
        clock,
        variables,
        connector,
        InputStream.nullInputStream(),
        Terminal.NONE);
  }

  /** {@code $VIREO_STATE_DIR}: where the daemons of this machine keep what must outlive them. */
  public Path stateDirectory() {
    return directory("VIREO_STATE_DIR", isRoot() ? "/var/lib/vireo" : ".local/state/vireo");
  }

  /** {@code $VIREO_CACHE_DIR}: what can be made again, guest images above all. */
  public Path cacheDirectory() {
    return directory("VIREO_CACHE_DIR", ".cache/vireo");
  }

  /** The sockets of the controllers of this machine, also of those that were killed. */
  List<Path> controllerSockets() {
    try (Stream<Path> files = Files.list(stateDirectory())) {
      List<Path> all = files.sorted().toList();
      return Stream.concat(
              all.stream().filter(path -> path.endsWith("controller")),
              all.stream()
                  .filter(path -> path.getFileName().toString().startsWith("controller-"))
                  .map(path -> path.resolve("controller")))
          .map(directory -> directory.resolve("controller.sock"))
          .filter(Files::exists)
          .toList();
    } catch (IOException e) {
      return List.of(); // There is no state directory, or it is another user's.
    }
  }

  private Path directory(String variable, String otherwise) {
    String value = variables.getOrDefault(variable, "");
    String home = variables.getOrDefault("HOME", "/");
    return value.isEmpty() ? Path.of(home).resolve(otherwise) : Path.of(value).toAbsolutePath();
  }

  /** Whether this user is the machine's administrator. */
  public static boolean isRoot() {
    return "root".equals(System.getProperty("user.name"));
  }
}
