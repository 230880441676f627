package dev.vireo.worker.network;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.vireo.linux.TapInterface;
import dev.vireo.linux.testing.NetworkNamespace;
import dev.vireo.linux.testing.Patience;
import dev.vireo.proto.v1.NetworkStatus;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.channels.SocketChannel;

/**
 * A namespace with one interface, whose far end is a guest's interface of the node: Linux, set up
 * as the agent does it in a guest.
 */
final class TestGuest implements AutoCloseable {
  /** What is dropped, and not refused, is never answered. */
  private static final int PATIENCE_MS = (int) Patience.ofSeconds(1).toMillis();

  final NetworkNamespace inside = new NetworkNamespace();
  final NetworkStatus given;
  private final TapInterface nodeSide;
  private final TapInterface guestSide;
  private final Pump out;
  private final Pump in;

  /**
   * @param nodeSide this guest's from now on
   */
  TestGuest(NetworkStatus given, TapInterface nodeSide) {
    this.given = given;
    this.nodeSide = nodeSide;
    this.guestSide = inside.call(() -> TapInterface.create("eth", 1, 0));
    inside.shell(
        String.join(
            " && ",
            "ip link set eth0 address " + given.getMacAddress(),
            "ip addr add %s/32 dev eth0".formatted(given.getAddress()),
            "ip link set eth0 up",
            "ip route add %s dev eth0".formatted(given.getGateway()),
            "ip route add default via " + given.getGateway()));
    this.out = new Pump(guestSide.queues().getFirst(), nodeSide.queues().getFirst());
    this.in = new Pump(nodeSide.queues().getFirst(), guestSide.queues().getFirst());
  }

  /**
   * How a connection ends that it tries: "open", "refused" by who is there or who filters, "lost".
   */
  String connect(String address, int port) {
    return inside.call(() -> connectHere(address, port));
  }

  static String connectHere(String address, int port) throws IOException {
    try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.INET)) {
      channel
          .socket()
          .connect(new InetSocketAddress(InetAddress.getByName(address), port), PATIENCE_MS);
      return "open";
    } catch (java.net.SocketTimeoutException e) {
      return "lost";
    } catch (java.net.ConnectException e) {
      return "refused";
    }
  }

  /** What comes back for a datagram, or "lost", or "prohibited". */
  String ask(String address, int port) {
    return inside.call(() -> {
      try (DatagramSocket socket = new DatagramSocket()) {
        socket.setSoTimeout(PATIENCE_MS);
        socket.connect(new InetSocketAddress(InetAddress.getByName(address), port));
        socket.send(new DatagramPacket("hello".getBytes(US_ASCII), 5));
        DatagramPacket answer = new DatagramPacket(new byte[64], 64);
        socket.receive(answer);
        return new String(answer.getData(), 0, answer.getLength(), US_ASCII);
      } catch (java.net.SocketTimeoutException e) {
        return "lost";
      } catch (IOException e) {
        return "prohibited";
      }
    });
  }

  /** By ICMP's echo, as root. */
  boolean pings(String address) {
    return inside.call(() -> InetAddress.getByName(address).isReachable(PATIENCE_MS));
  }

  /** As when its VMM is killed: the interface is gone with its descriptors. */
  @Override
  public void close() {
    out.close();
    in.close();
    nodeSide.close();
    guestSide.close();
    inside.close();
  }
}
