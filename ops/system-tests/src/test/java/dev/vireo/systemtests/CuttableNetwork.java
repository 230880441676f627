package dev.vireo.systemtests;

import dev.vireo.bench.cluster.Host;
import dev.vireo.bench.cluster.OwnedProcesses;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;

/**
 * Hosts that reach each other by a router, which can lose or refuse what some of them send to
 * others. All are namespaces of the test's own, without any interface of the machine's. What
 * listens on a host's loopback address is reached by the host's own from outside.
 */
final class CuttableNetwork {
  private static final String ROUTER_ADDRESS = "192.0.2.254"; // RFC 5737: nobody's

  private final NetworkNamespace router;
  private final Map<String, NetworkNamespace> hosts = new LinkedHashMap<>();
  private final List<Cut> cuts = new ArrayList<>();

  /** What becomes of a packet. */
  enum Loss {
    /** Nothing is heard of it. */
    SILENT("drop"),
    /** Its sender's connection is reset. */
    RESET("reject with tcp reset"),
    /** Its sender is told by ICMP. */
    UNREACHABLE("reject with icmp host-unreachable");

    private final String verdict;

    Loss(String verdict) {
      this.verdict = verdict;
    }
  }

  /** From hosts to others, until it heals. */
  final class Cut {
    private final String rule;

    private Cut(Loss loss, Collection<Host> from, Collection<Host> to) {
      this.rule =
          "add rule ip cuts forward ip saddr { %s } ip daddr { %s } %s\n"
              .formatted(addresses(from), addresses(to), loss.verdict);
    }

    private static String addresses(Collection<Host> hosts) {
      return hosts.stream().map(Host::address).collect(Collectors.joining(", "));
    }

    void heal() throws IOException {
      cuts.remove(this);
      apply();
    }
  }

  private CuttableNetwork(NetworkNamespace router) {
    this.router = router;
  }

  /** Makes hosts of these names, each of which reaches each other. */
  static CuttableNetwork create(OwnedProcesses processes, List<String> names) throws IOException {
    NetworkNamespace router = NetworkNamespace.create(processes, ROUTER_ADDRESS);
    router.run(
        "echo 1 > /proc/sys/net/ipv4/ip_forward; nft -f -",
        """
        table ip cuts {
          chain forward {
            type filter hook forward priority 0
          }
        }
        """);
    CuttableNetwork network = new CuttableNetwork(router);
    for (String name : names) {
      int number = network.hosts.size() + 1;
      NetworkNamespace host = NetworkNamespace.create(processes, "192.0.2." + number);
      network.join(host, "host" + number);
      network.hosts.put(name, host);
    }
    return network;
  }

  private void join(NetworkNamespace host, String wire) throws IOException {
    String address = host.address();
    router.run(
        """
        ip link add %1$s type veth peer name eth0 netns %2$d
        ip addr add %3$s/32 dev %1$s
        ip link set %1$s up
        ip route add %4$s dev %1$s
        """
            .formatted(wire, host.holder(), ROUTER_ADDRESS, address),
        "");
    host.run(
        """
        ip addr add %1$s/32 dev eth0
        ip link set eth0 up
        ip route add %2$s dev eth0
        ip route add default via %2$s
        echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
        nft -f -
        """
            .formatted(address, ROUTER_ADDRESS),
        """
        table ip loopback {
          chain arriving {
            type nat hook prerouting priority -100
            ip daddr %1$s dnat to 127.0.0.1
          }
          chain own {
            type nat hook output priority -100
            ip daddr %1$s dnat to 127.0.0.1
          }
        }
        """
            .formatted(address));
  }

  Host host(String name) {
    return Objects.requireNonNull(hosts.get(name), name);
  }

  /** All of them, but the router. */
  Collection<Host> hosts() {
    return List.copyOf(hosts.values());
  }

  /** What the first send to the others gets lost; what those send arrives. */
  Cut cutOneWay(Loss loss, Collection<Host> from, Collection<Host> to) throws IOException {
    Cut cut = new Cut(loss, from, to);
    cuts.add(cut);
    apply();
    return cut;
  }

  private void apply() throws IOException {
    router.run(
        "nft -f -",
        "flush chain ip cuts forward\n"
            + cuts.stream().map(cut -> cut.rule).collect(Collectors.joining()));
  }
}
