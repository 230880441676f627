package dev.vireo.bench;

import java.io.IOException;
import java.net.NetworkInterface;
import java.nio.charset.StandardCharsets;

/**
 * The tap interfaces of a run, in the network namespace that the launcher has put us into: it, and
 * they with it, end with our last process. The host's end of {@link #TAP} routes what the probe's
 * {@code net-rate} sends back to it.
 */
final class BenchNetwork {
  static final String TAP = "probe0";

  private BenchNetwork() {}

  /**
   * Sets the namespace up.
   *
   * @param idle how many interfaces there are to be beside it, for guests that only sleep
   * @throws IOException with the remedy if this is no namespace of our own
   */
  static void create(int idle) throws IOException {
    // Java sees interfaces that have an address; in a new namespace none has.
    if (NetworkInterface.getByName("lo") != null) {
      throw new IOException(
          "not in a network namespace of our own; run this by the launcher: ./vireo bench devices");
    }
    shell(
        """
        ip link set lo up
        ip tuntap add dev %1$s mode tap vnet_hdr
        for name in all %1$s; do echo 0 >/proc/sys/net/ipv4/conf/$name/send_redirects; done
        echo 1 >/proc/sys/net/ipv6/conf/%1$s/disable_ipv6 || true
        echo 1 >/proc/sys/net/ipv4/ip_forward
        ip addr add 192.0.2.1/24 dev %1$s
        ip link set %1$s up
        ip route add 198.51.100.0/24 via 192.0.2.2 dev %1$s
        for i in $(seq 0 %2$d); do ip tuntap add dev idle$i mode tap vnet_hdr; done
        """
            .formatted(TAP, idle - 1));
  }

  /** The name of such an interface, which is down. */
  static String idleTap(int index) {
    return "idle" + index;
  }

  private static void shell(String script) throws IOException {
    Process shell =
        new ProcessBuilder("sh", "-ec", script)
            .redirectErrorStream(true)
            .redirectInput(ProcessBuilder.Redirect.from(new java.io.File("/dev/null")))
            .start();
    String output = new String(shell.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    if (shell.onExit().join().exitValue() != 0) {
      throw new IOException("the network cannot be set up: " + output.strip());
    }
  }
}
