package dev.vireo.worker.network;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.PublishedPort;
import dev.vireo.proto.v1.TransportProtocol;
import dev.vireo.worker.boot.RejectedException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Ports of this machine's loopback addresses, held and given back. */
class NodePortsTest {
  private final NodePorts ports = new NodePorts(PortSockets.BOUND);

  @AfterEach
  void release() {
    List.of("a", "b").forEach(ports::release);
  }

  private PublishedPort hold(String uid, PublishedPort.Builder port) throws RejectedException {
    return ports.hold(uid, List.of(port.build()), "ports").getFirst();
  }

  private RejectedException refusal(String uid, PublishedPort.Builder port) {
    return assertThrows(RejectedException.class, () -> hold(uid, port));
  }

  private static PublishedPort.Builder port(int nodePort) {
    return PublishedPort.newBuilder().setPort(80).setNodePort(nodePort);
  }

  @Test
  void oneThatIsLeftToTheNodeIsOnLoopbackAndNobodyListensThere() throws Exception {
    PublishedPort chosen = hold("a", port(0));
    assertEquals("127.0.0.1", chosen.getNodeAddress());
    assertTrue(chosen.getNodePort() > 0);
    assertThrows(
        ConnectException.class,
        () -> new Socket(InetAddress.getLoopbackAddress(), chosen.getNodePort()).close());
  }

  @Test
  void oneIsHeldUntilItIsGivenBack() throws Exception {
    int taken = hold("a", port(0)).getNodePort();
    RejectedException refused = refusal("b", port(taken));
    assertEquals(ErrorReason.NODE_PORT_TAKEN, refused.reason());
    assertEquals("ports[0].node_port", refused.field());
    assertEquals(
        ErrorReason.NODE_PORT_TAKEN, refusal("b", port(taken).setNodeAddress("0.0.0.0")).reason());
    assertEquals(taken, hold("b", port(taken).setProtocol(TransportProtocol.UDP)).getNodePort());
    assertEquals(taken, hold("a", port(taken)).getNodePort(), "its own, again");
    ports.release("a");
    assertEquals(taken, hold("b", port(taken)).getNodePort());
  }

  @Test
  void oneThatAProcessListensAtIsRefusedAndTheOthersAreGivenBack() throws Exception {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      int free = hold("a", port(0)).getNodePort();
      ports.release("a");
      List<PublishedPort> both = List.of(port(free).build(), port(server.getLocalPort()).build());
      RejectedException refused =
          assertThrows(RejectedException.class, () -> ports.hold("a", both, "ports"));
      assertEquals("ports[1].node_port", refused.field());
      assertEquals(free, hold("b", port(free)).getNodePort());
    }
  }

  @Test
  void anAddressIsOneOfThisMachines() {
    RejectedException refused = refusal("a", port(0).setNodeAddress("192.0.2.1"));
    assertEquals(ErrorReason.FIELD_INVALID, refused.reason());
    assertEquals("ports[0].node_address", refused.field());
  }
}
