package dev.vireo.cli;

import java.nio.file.Files;
import java.nio.file.Path;

/** Where a controller listens: a unix socket of this machine, or a TCP host and port. */
public sealed interface ServerAddress {
  /** The controller's default TCP address. */
  ServerAddress LOOPBACK = new Tcp("127.0.0.1", 7420);

  /** {@code unix:/path/to/controller.sock}. */
  record UnixSocket(Path path) implements ServerAddress {
    @Override
    public String toString() {
      return "unix:" + path;
    }
  }

  /** {@code host:port}. */
  record Tcp(String host, int port) implements ServerAddress {
    @Override
    public String toString() {
      return host + ":" + port;
    }
  }

  /** Reads {@code unix:PATH}, {@code HOST:PORT} or {@code HOST}. */
  static ServerAddress parse(String text) {
    if (text.startsWith("unix:")) {
      return new UnixSocket(Path.of(text.substring("unix:".length())).toAbsolutePath());
    }
    int colon = text.lastIndexOf(':');
    if (colon < 0) {
      return new Tcp(text, 7420);
    }
    int port;
    try {
      port = Integer.parseInt(text.substring(colon + 1));
    } catch (NumberFormatException e) {
      port = 0;
    }
    if (colon == 0 || port < 1 || port > 65535) {
      throw new CommandException(
          ExitCode.USAGE,
          "'%s' is not a server address".formatted(text),
          "Use unix:/path/to/controller.sock or host:port.");
    }
    return new Tcp(text.substring(0, colon), port);
  }

  /** The controller that {@code vireo up} starts here: its unix socket if there is one. */
  static ServerAddress local(Path controllerSocket) {
    return Files.exists(controllerSocket) ? new UnixSocket(controllerSocket) : LOOPBACK;
  }
}
