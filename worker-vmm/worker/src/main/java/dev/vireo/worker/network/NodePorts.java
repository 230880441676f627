package dev.vireo.worker.network;

import static dev.vireo.proto.errors.ErrorReason.FIELD_INVALID;
import static dev.vireo.proto.errors.ErrorReason.NODE_PORT_TAKEN;

import dev.vireo.proto.v1.PublishedPort;
import dev.vireo.worker.boot.RejectedException;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.channels.DatagramChannel;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The node's ports at which guests' are published, each held by a socket that is bound to it: no
 * other process, and no other worker, takes one for its own, and the kernel chooses those that
 * nobody has chosen. Not thread-safe.
 */
final class NodePorts {
  static final String ANY_ADDRESS = "0.0.0.0";
  static final String LOOPBACK_ADDRESS = "127.0.0.1";
  private static final System.Logger LOG = System.getLogger("network");

  private final PortSockets sockets;
  private final Map<String, List<PortSockets.Held>> byUid = new HashMap<>();

  NodePorts(PortSockets sockets) {
    this.sockets = sockets;
  }

  /**
   * Takes a microVM's ports, all or none of them.
   *
   * @param field of the spec that has them
   * @return the same, with what was left to the node
   */
  List<PublishedPort> hold(String uid, List<PublishedPort> ports, String field)
      throws RejectedException {
    if (byUid.containsKey(uid)) {
      release(uid);
    }
    List<PortSockets.Held> held = new ArrayList<>();
    List<PublishedPort> chosen = new ArrayList<>();
    try {
      for (int i = 0; i < ports.size(); i++) {
        chosen.add(hold(ports.get(i), "%s[%d]".formatted(field, i), held));
      }
    } catch (RejectedException e) {
      held.forEach(NodePorts::close);
      throw e;
    }
    byUid.put(uid, held);
    return chosen;
  }

  private PublishedPort hold(PublishedPort port, String field, List<PortSockets.Held> held)
      throws RejectedException {
    String address = port.getNodeAddress().isEmpty() ? LOOPBACK_ADDRESS : port.getNodeAddress();
    InetAddress inet = Ipv4Network.inet(Ipv4Network.parse(address).address());
    if (!inet.isAnyLocalAddress() && !bindable(inet)) {
      throw new RejectedException(
          FIELD_INVALID, field + ".node_address", address + " is no address of this node");
    }
    try {
      PortSockets.Held one =
          sockets.hold(port, new InetSocketAddress(inet, port.getNodePort()), field);
      held.add(one);
      return port.toBuilder().setNodeAddress(address).setNodePort(one.port()).build();
    } catch (IOException e) {
      throw new RejectedException(
          NODE_PORT_TAKEN,
          field + ".node_port",
          "cannot publish at %s:%d: %s".formatted(address, port.getNodePort(), e.getMessage()));
    }
  }

  private static boolean bindable(InetAddress address) {
    try (DatagramChannel any = DatagramChannel.open(StandardProtocolFamily.INET)) {
      any.bind(new InetSocketAddress(address, 0));
      return true;
    } catch (IOException e) {
      return false;
    }
  }

  /** Those that a predecessor has chosen, as far as they are free still: the rules have them. */
  void holdAgain(String uid, List<PublishedPort> ports) {
    try {
      var _ = hold(uid, ports, "");
    } catch (RejectedException e) {
      LOG.log(
          Level.WARNING, "{0}: {1}; the guest is reached there all the same", uid, e.sentence());
    }
  }

  void release(String uid) {
    List<PortSockets.Held> held = byUid.remove(uid);
    if (held != null) {
      held.forEach(NodePorts::close);
    }
  }

  private static void close(PortSockets.Held port) {
    try {
      port.close();
    } catch (IOException e) {
      LOG.log(Level.WARNING, "cannot give back port {0}: {1}", Integer.toString(port.port()), e);
    }
  }
}
