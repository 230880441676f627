package dev.vireo.worker.network;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.PublishedPort;
import dev.vireo.proto.v1.TransportProtocol;
import dev.vireo.worker.boot.RejectedException;
import java.io.IOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.List;
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
