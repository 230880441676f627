package dev.vireo.worker.network;

import static dev.vireo.proto.errors.ErrorReason.ROUTING_UNAVAILABLE;
import static java.util.concurrent.TimeUnit.MILLISECONDS;

import dev.vireo.proto.v1.PublishedPort;
import dev.vireo.proto.v1.TransportProtocol;
import dev.vireo.worker.boot.RejectedException;
import java.io.Closeable;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.channels.ServerSocketChannel;
import java.util.concurrent.CountDownLatch;

/**
 * Ports of a node whose network namespace pasta(1) connects to the machine's: it looks every second
 * what listens here, and listens there. So these listen, too. Where a guest is, its rules come
 * before them; where none is, they hang up.
 *
 * <p>To what listens at a loopback address alone pasta lets the machine's own processes only. That,
 * and all addresses, are the choices.
 */
final class PastaPorts implements PortSockets {
  private static final InetAddress LOOPBACK =
      Ipv4Network.inet(Ipv4Network.parse(NodePorts.LOOPBACK_ADDRESS).address());

  private static final long TRY_AGAIN_MILLIS = 100;

  private final int lowest;

  /**
   * @param lowest port that pasta may listen at on the machine
   */
  PastaPorts(int lowest) {
    this.lowest = lowest;
  }

  @Override
  public Held hold(PublishedPort port, InetSocketAddress at, String field)
      throws RejectedException, IOException {
    check(port, at, field);
    ServerSocketChannel channel =
        PortSockets.bind(ServerSocketChannel.open(StandardProtocolFamily.INET), at);
    return new Held(PortSockets.portOf(channel), hangUpAt(channel));
  }

  /** Hangs up on whoever connects, until that is closed. */
  static Closeable hangUpAt(ServerSocketChannel channel) throws IOException {
    CountDownLatch closed = new CountDownLatch(1);
    Thread hangingUp =
        Thread.ofPlatform()
            .daemon()
            .name("port-" + PortSockets.portOf(channel))
            .start(() -> hangUp(channel, closed));
    return () -> {
      channel.close();
      closed.countDown();
      await(hangingUp);
    };
  }

  /** The kernel listens for as long as a thread is in accept(2), though the channel is closed. */
  private static void await(Thread hangingUp) throws IOException {
    try {
      hangingUp.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException();
    }
  }

  private void check(PublishedPort port, InetSocketAddress at, String field)
      throws RejectedException {
    if (port.getProtocol() == TransportProtocol.UDP) {
      throw new RejectedException(
          ROUTING_UNAVAILABLE,
          field + ".protocol",
          "a node without root publishes no ports of UDP");
    }
    InetAddress address = at.getAddress();
    if (!address.isAnyLocalAddress() && !address.equals(LOOPBACK)) {
      throw new RejectedException(
          ROUTING_UNAVAILABLE,
          field + ".node_address",
          "a node without root publishes at 127.0.0.1 or 0.0.0.0");
    }
    if (at.getPort() != 0 && at.getPort() < lowest) {
      throw new RejectedException(
          ROUTING_UNAVAILABLE,
          field + ".node_port",
          "a node without root publishes at ports from %d on".formatted(lowest));
    }
  }

  private static void hangUp(ServerSocketChannel channel, CountDownLatch closed) {
    while (channel.isOpen()) {
      try {
        channel.accept().close();
      } catch (IOException e) {
        pause(closed);
      }
    }
  }

  /** What is short, descriptors mostly, may be there again then. Ends with the channel. */
  private static void pause(CountDownLatch closed) {
    try {
      var _ = closed.await(TRY_AGAIN_MILLIS, MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // Which closes the channel.
    }
  }
}
