package dev.vireo.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Where a controller listens: a unix socket of this machine, or a TCP host and port; or where
 * several do, any of which will do.
 */
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

  /** {@code address,address…}. */
  record AnyOf(List<ServerAddress> addresses) implements ServerAddress {
    public AnyOf {
      addresses = List.copyOf(addresses);
    }

    @Override
    public String toString() {
      return addresses.stream().map(ServerAddress::toString).collect(Collectors.joining(","));
    }
  }

  /** Any of these, at least one. */
  static ServerAddress anyOf(List<ServerAddress> addresses) {
    return addresses.size() == 1 ? addresses.getFirst() : new AnyOf(addresses);
  }

  /** Reads {@code unix:PATH}, {@code HOST:PORT} or {@code HOST}, or several with commas between. */
  static ServerAddress parse(String text) {
    return anyOf(Stream.of(text.split(",", -1)).map(ServerAddress::parseOne).toList());
  }

  private static ServerAddress parseOne(String text) {
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

  /** The controllers that {@code vireo up} starts here: their unix sockets, if there are any. */
  static ServerAddress local(List<Path> controllerSockets) {
    return controllerSockets.isEmpty()
        ? LOOPBACK
        : anyOf(controllerSockets.stream().<ServerAddress>map(UnixSocket::new).toList());
  }
}
