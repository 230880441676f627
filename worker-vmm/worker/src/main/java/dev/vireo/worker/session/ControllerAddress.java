package dev.vireo.worker.session;

import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Where a controller listens. */
public sealed interface ControllerAddress {
  /** A TCP port. */
  record Tcp(String host, int port) implements ControllerAddress {
    @Override
    public String toString() {
      return host + ":" + port;
    }
  }

  /** A unix socket on this machine. */
  record Unix(Path path) implements ControllerAddress {
    @Override
    public String toString() {
      return "unix:" + path;
    }
  }

  /**
   * Parses {@code host:port}, {@code [v6-address]:port} or {@code unix:path}.
   *
   * @throws IllegalArgumentException saying what is expected
   */
  static ControllerAddress parse(String text) {
    if (text.startsWith("unix:") && text.length() > "unix:".length()) {
      return new Unix(Path.of(text.substring("unix:".length())).toAbsolutePath());
    }
    Matcher tcp = Pattern.compile("(?:\\[([^]]+)]|([^:/]+)):([0-9]{1,5})").matcher(text);
    if (!tcp.matches() || Integer.parseInt(tcp.group(3)) > 65_535) {
      throw new IllegalArgumentException(
          "a controller's address is HOST:PORT or unix:PATH, not \"" + text + "\"");
    }
    String host = tcp.group(1) != null ? tcp.group(1) : tcp.group(2);
    return new Tcp(host, Integer.parseInt(tcp.group(3)));
  }
}
