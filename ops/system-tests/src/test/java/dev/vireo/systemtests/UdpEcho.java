package dev.vireo.systemtests;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.ByteBuffer;
import java.nio.channels.DatagramChannel;
import java.util.concurrent.atomic.AtomicInteger;

/** An echo service (RFC 862) at an address of a namespace, which counts what it is sent. */
final class UdpEcho implements AutoCloseable {
  private static final int ECHO_PORT = 7;
  private static final int MOST_BYTES = 65_535;

  private final DatagramChannel channel;
  private final AtomicInteger heard = new AtomicInteger();

  UdpEcho(NetworkNamespace namespace, String address) throws IOException {
    this.channel =
        namespace.open(() ->
            DatagramChannel.open(StandardProtocolFamily.INET)
                .bind(new InetSocketAddress(address, ECHO_PORT)));
    Thread.ofVirtual().start(this::answer);
  }

  private void answer() {
    ByteBuffer datagram = ByteBuffer.allocate(MOST_BYTES);
    try {
      while (true) {
        SocketAddress sender = channel.receive(datagram.clear());
        heard.incrementAndGet();
        channel.send(datagram.flip(), sender);
      }
    } catch (IOException e) {
      // It is closed.
    }
  }

  /** How many datagrams have come. */
  int heard() {
    return heard.get();
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
