package dev.vireo.worker.network;

import dev.vireo.linux.Connections;
import dev.vireo.linux.Ipv4Interface;
import dev.vireo.linux.LinuxException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.IntPredicate;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** Those of the network namespace of the thread that calls. */
final class LinuxInterfaces implements NodeInterfaces {
  private static final Path IPV4 = Path.of("/proc/sys/net/ipv4/conf");
  private static final Path UNPRIVILEGED = Path.of("/proc/sys/net/ipv4/ip_unprivileged_port_start");
  private static final Path IPV6 = Path.of("/proc/sys/net/ipv6/conf");
  private static final Path ROUTES = Path.of("/proc/thread-self/net/route");

  /** A line of {@code /proc/net/route}, whose numbers are in the order of the processor. */
  private record Route(String device, Ipv4Network destination) {
    static Route parse(String line) {
      String[] columns = line.split("\\s+", -1);
      int mask = Integer.reverseBytes(Integer.parseUnsignedInt(columns[7], 16));
      int address = Integer.reverseBytes(Integer.parseUnsignedInt(columns[1], 16));
      return new Route(columns[0], new Ipv4Network(address & mask, Integer.bitCount(mask)));
    }
  }

  @Override
  public void configure(String tap, int gateway, int guest, byte[] mac) throws IOException {
    try {
      if (Files.isDirectory(IPV6)) {
        set(IPV6, tap, "disable_ipv6", "1");
      }
      // What may not pass is refused by the rules, and not lost here.
      set(IPV4, tap, "forwarding", "1");
      set(IPV4, tap, "rp_filter", "1");
      // It answers for its own address, not for others of the node.
      set(IPV4, tap, "arp_ignore", "1");
      set(IPV4, tap, "accept_redirects", "0");
      // The way back from a port that is published on the node's loopback.
      set(IPV4, tap, "route_localnet", "1");
      Ipv4Interface settings = new Ipv4Interface(tap);
      settings.setAddress(gateway);
      settings.setUp();
      settings.addHostRoute(guest);
      settings.setNeighbour(guest, mac);
    } catch (LinuxException e) {
      throw new IOException(e.getMessage(), e);
    }
  }

  private static void set(Path family, String device, String setting, String value)
      throws IOException {
    Files.writeString(family.resolve(device).resolve(setting), value);
  }

  @Override
  public Optional<String> settingAgainstForwarding() throws IOException {
    List<Route> routes = routes();
    List<String> devices =
        routes.stream()
            .filter(route -> route.destination.prefixLength() == 0)
            .map(Route::device)
            .distinct()
            .toList();
    if (devices.isEmpty()) {
      devices =
          routes.stream()
              .map(Route::device)
              .filter(device -> !NftRules.isTapName(device))
              .distinct()
              .toList();
    }
    for (String device : devices) {
      String forwards = Files.readString(IPV4.resolve(device).resolve("forwarding")).strip();
      if (!forwards.equals("1")) {
        return Optional.of("net.ipv4.conf.%s.forwarding".formatted(device));
      }
    }
    return Optional.empty();
  }

  @Override
  public Optional<String> routeInto(Ipv4Network pool, Predicate<String> ours) throws IOException {
    return routes().stream()
        .filter(route -> !ours.test(route.device))
        .filter(route -> route.destination.prefixLength() > 0)
        .filter(route -> route.destination.overlaps(pool))
        .map(route -> "%s by %s".formatted(route.destination, route.device))
        .findFirst();
  }

  /** From this one on anybody may listen. */
  int lowestUnprivilegedPort() throws IOException {
    return Integer.parseInt(Files.readString(UNPRIVILEGED).strip());
  }

  @Override
  public boolean exists(String tap) {
    return Files.isDirectory(IPV4.resolve(tap));
  }

  private static List<Route> routes() throws IOException {
    try (Stream<String> lines = Files.lines(ROUTES)) {
      return lines.skip(1).map(Route::parse).toList();
    }
  }

  @Override
  public void forgetConnections(IntPredicate addresses) throws IOException {
    try {
      Connections.forget(addresses);
    } catch (LinuxException e) {
      throw new IOException(e.getMessage(), e);
    }
  }
}
