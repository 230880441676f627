package dev.vireo.worker.network;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.PublishedPort;
import dev.vireo.proto.v1.TransportProtocol;
import dev.vireo.worker.boot.RejectedException;
import java.io.Closeable;
import java.io.IOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketAddress;
import java.net.SocketOption;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.channels.spi.SelectorProvider;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Ports that pasta finds, of this machine's loopback addresses. */
class PastaPortsTest {
  private final NodePorts ports = new NodePorts(new PastaPorts(1024));

  @AfterEach
  void release() {
    ports.release("a");
  }

  private PublishedPort hold(PublishedPort.Builder port) throws RejectedException {
    return ports.hold("a", List.of(port.setPort(80).build()), "ports").getFirst();
  }

  private static Socket connect(PublishedPort port) throws IOException {
    return new Socket(InetAddress.getLoopbackAddress(), port.getNodePort());
  }

  private String refusal(PublishedPort.Builder port) {
    RejectedException refused = assertThrows(RejectedException.class, () -> hold(port));
    assertEquals(ErrorReason.ROUTING_UNAVAILABLE, refused.reason());
    return refused.field();
  }

  private static PublishedPort.Builder port(int nodePort) {
    return PublishedPort.newBuilder().setNodePort(nodePort);
  }

  @Test
  void oneIsListenedAtAndHangsUp() throws Exception {
    PublishedPort chosen = hold(port(0));
    assertEquals("127.0.0.1", chosen.getNodeAddress());
    for (int i = 0; i < 100; i++) {
      try (Socket client = connect(chosen)) {
        assertEquals(-1, client.getInputStream().read());
      }
    }
  }

  @Test
  void oneIsFreeAtOnceWhenItIsGivenBack() throws Exception {
    PublishedPort chosen = hold(port(0));
    for (int i = 0; i < 100; i++) {
      ports.release("a");
      assertThrows(ConnectException.class, () -> connect(chosen).close());
      assertEquals(chosen, hold(port(chosen.getNodePort())));
    }
  }

  @Test
  void oneGoesOnToHangUpAfterItCouldNotAccept() throws Exception {
    ExhaustedChannel channel = new ExhaustedChannel(2);
    Closeable held = PastaPorts.hangUpAt(channel);
    try (Socket client = new Socket(InetAddress.getLoopbackAddress(), channel.port())) {
      client.setSoTimeout(60_000);
      assertEquals(-1, client.getInputStream().read());
    }
    held.close();
    assertThrows(
        ConnectException.class,
        () -> new Socket(InetAddress.getLoopbackAddress(), channel.port()).close());
  }

  @Test
  void oneThatCannotAcceptIsFreeAtOnceWhenItIsGivenBack() throws Exception {
    ExhaustedChannel channel = new ExhaustedChannel(Integer.MAX_VALUE);
    Closeable held = PastaPorts.hangUpAt(channel);
    await().until(() -> channel.attempts() > 1);
    held.close();
    int attempts = channel.attempts();
    assertThrows(
        ConnectException.class,
        () -> new Socket(InetAddress.getLoopbackAddress(), channel.port()).close());
    assertEquals(attempts, channel.attempts(), "its thread has ended");
  }

  /** Listens at a loopback port, and at first has no descriptors for who connects. */
  private static final class ExhaustedChannel extends ServerSocketChannel {
    private final ServerSocketChannel real =
        ServerSocketChannel.open().bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
    private final int port = PortSockets.portOf(real);
    private final AtomicInteger attempts = new AtomicInteger();
    private final int failures;

    ExhaustedChannel(int failures) throws IOException {
      super(SelectorProvider.provider());
      this.failures = failures;
    }

    int port() {
      return port;
    }

    int attempts() {
      return attempts.get();
    }

    @Override
    public SocketChannel accept() throws IOException {
      if (attempts.incrementAndGet() <= failures) {
        throw new IOException("Too many open files");
      }
      return real.accept();
    }

    @Override
    protected void implCloseSelectableChannel() throws IOException {
      real.close();
    }

    @Override
    public SocketAddress getLocalAddress() throws IOException {
      return real.getLocalAddress();
    }

    @Override
    public ServerSocketChannel bind(SocketAddress local, int backlog) {
      throw new UnsupportedOperationException();
    }

    @Override
    public <T> ServerSocketChannel setOption(SocketOption<T> name, T value) {
      throw new UnsupportedOperationException();
    }

    @Override
    public <T> T getOption(SocketOption<T> name) {
      throw new UnsupportedOperationException();
    }

    @Override
    public Set<SocketOption<?>> supportedOptions() {
      return Set.of();
    }

    @Override
    public ServerSocket socket() {
      throw new UnsupportedOperationException();
    }

    @Override
    protected void implConfigureBlocking(boolean block) {
      throw new UnsupportedOperationException();
    }
  }

  @Test
  void oneThatAProcessListensAtIsRefused() throws Exception {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      for (String address : List.of("127.0.0.1", "0.0.0.0")) {
        PublishedPort.Builder taken = port(server.getLocalPort()).setNodeAddress(address);
        RejectedException refused = assertThrows(RejectedException.class, () -> hold(taken));
        assertEquals(ErrorReason.NODE_PORT_TAKEN, refused.reason());
      }
    }
  }

  @Test
  void whatPastaCannotPublishIsRefused() {
    assertEquals("ports[0].protocol", refusal(port(0).setProtocol(TransportProtocol.UDP)));
    assertEquals("ports[0].node_port", refusal(port(1023)));
    assertEquals("ports[0].node_address", refusal(port(0).setNodeAddress("127.0.0.2")));
  }
}
