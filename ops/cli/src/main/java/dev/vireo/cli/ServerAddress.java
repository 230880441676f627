package dev.vireo.cli;

import java.net.URI;
import java.net.URISyntaxException;
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
  Tcp LOOPBACK = new Tcp("127.0.0.1", 7420);

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
    String host = colon < 0 ? text : text.substring(0, colon);
    int port = colon < 0 ? LOOPBACK.port() : port(text.substring(colon + 1));
    if (port < 1 || port > 65535 || !isHost(host)) {
      throw new CommandException(
          ExitCode.USAGE,
          "'%s' is not a server address".formatted(text),
          "Use unix:/path/to/controller.sock or host:port, or several with commas between.");
    }
    return new Tcp(host, port);
  }

  private static int port(String text) {
    try {
      return Integer.parseInt(text);
    } catch (NumberFormatException e) {
      return 0;
    }
  }

  /** Whether gRPC, to which it is a part of a URI, takes it. */
  private static boolean isHost(String text) {
    try {
      String host = new URI(null, null, text, -1, null, null, null).getHost();
      return text.equals(host) || "[%s]".formatted(text).equals(host);
    } catch (URISyntaxException e) {
      return false;
    }
  }

  /** The controllers that {@code vireo up} starts here: their unix sockets, if there are any. */
  static ServerAddress local(List<Path> controllerSockets) {
    return controllerSockets.isEmpty()
        ? LOOPBACK
        : anyOf(controllerSockets.stream().<ServerAddress>map(UnixSocket::new).toList());
  }
}
