package dev.vireo.worker.network;

import dev.vireo.proto.v1.PublishedPort;
import dev.vireo.proto.v1.TransportProtocol;
import dev.vireo.worker.boot.RejectedException;
import java.io.Closeable;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.channels.DatagramChannel;
import java.nio.channels.NetworkChannel;
import java.nio.channels.SocketChannel;

/** By which sockets a worker holds ports of its node. */
interface PortSockets {
  /** That are bound and do not listen: who connects where no guest is, is refused. */
  PortSockets BOUND =
      (port, at, _) -> {
        NetworkChannel channel =
            port.getProtocol() == TransportProtocol.UDP
                ? DatagramChannel.open(StandardProtocolFamily.INET)
                : SocketChannel.open(StandardProtocolFamily.INET);
        return Held.of(bind(channel, at));
      };

  /**
   * A port that is held until this is closed; from then on it is anybody's.
   *
   * @param port its number
   */
  record Held(int port, Closeable socket) implements Closeable {
    private static Held of(NetworkChannel bound) throws IOException {
      return new Held(portOf(bound), bound);
    }

    @Override
    public void close() throws IOException {
      socket.close();
    }
  }

  /**
   * Holds a port.
   *
   * @param at the address, and the port or 0 for any
   * @param field of the spec that has the port
   * @throws RejectedException if there can be no such port here
   * @throws IOException if somebody has it
   */
  Held hold(PublishedPort port, InetSocketAddress at, String field)
      throws RejectedException, IOException;

  /** Closes the channel if it cannot be bound. */
  static <C extends NetworkChannel> C bind(C channel, InetSocketAddress at) throws IOException {
    try {
      var _ = channel.bind(at);
      return channel;
    } catch (IOException e) {
      channel.close();
      throw e;
    }
  }

  /** Where a channel is bound. */
  static int portOf(NetworkChannel bound) throws IOException {
    if (!(bound.getLocalAddress() instanceof InetSocketAddress at)) {
      throw new IllegalStateException("it is bound");
    }
    return at.getPort();
  }
}
