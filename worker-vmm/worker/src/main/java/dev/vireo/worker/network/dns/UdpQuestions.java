package dev.vireo.worker.network.dns;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.net.Inet4Address;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.DatagramChannel;
import java.util.function.Consumer;

/** Questions by UDP: one thread takes them, each that may be asked has one of its own. */
final class UdpQuestions implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger("dns");

  /** Questions are short; of a longer datagram the rest is lost, and it is none then. */
  private static final int LONGEST_BYTES = 1232;

  private final DatagramChannel channel;
  private final GuestQueries queries;
  private final Budgets budgets;
  private final Consumer<String> events;

  /** At an address that is this node's by now. */
  UdpQuestions(
      InetSocketAddress address, GuestQueries queries, Budgets budgets, Consumer<String> events)
      throws IOException {
    this.queries = queries;
    this.budgets = budgets;
    this.events = events;
    this.channel = DatagramChannel.open(StandardProtocolFamily.INET);
    try {
      channel.bind(address);
    } catch (IOException | RuntimeException e) {
      channel.close();
      throw e;
    }
    Thread.ofPlatform().name("dns-udp").daemon().start(this::run);
  }

  InetSocketAddress address() throws IOException {
    return (InetSocketAddress) channel.getLocalAddress();
  }

  private void run() {
    ByteBuffer buffer = ByteBuffer.allocateDirect(LONGEST_BYTES);
    while (channel.isOpen()) {
      try {
        SocketAddress peer = channel.receive(buffer.clear());
        byte[] question = new byte[buffer.flip().remaining()];
        buffer.get(question);
        if (peer instanceof InetSocketAddress from
            && from.getAddress() instanceof Inet4Address source) {
          take(source, from, question);
        }
      } catch (ClosedChannelException e) {
        return;
      } catch (IOException e) {
        // What was sent before reached nobody, and the kernel says so here.
        LOG.log(Level.DEBUG, "dns: {0}", e.toString());
      }
    }
  }

  private void take(Inet4Address source, InetSocketAddress peer, byte[] question) {
    if (!budgets.ask(source)) {
      events.accept("queries_dropped");
      return;
    }
    Thread.ofVirtual()
        .name("dns")
        .start(() -> {
          try {
            queries.answerByUdp(source, question).ifPresent(answer -> send(peer, answer));
          } finally {
            budgets.answered(source);
          }
        });
  }

  private void send(InetSocketAddress peer, byte[] answer) {
    try {
      channel.send(ByteBuffer.wrap(answer), peer);
    } catch (IOException e) {
      LOG.log(Level.DEBUG, "{0}: {1}", peer, e.toString());
    }
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      LOG.log(Level.DEBUG, "dns: {0}", e.toString());
    }
  }
}
