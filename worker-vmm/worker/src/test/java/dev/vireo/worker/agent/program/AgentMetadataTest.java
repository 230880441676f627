package dev.vireo.worker.agent.program;

import static dev.vireo.worker.agent.program.Agent.PATIENCE;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The way of a guest's processes to their node's metadata service, with the test as the node. */
@Timeout(60)
class AgentMetadataTest {
  /** Of the agent; more clients wait. */
  private static final int MOST_CLIENTS = 64;

  @TempDir private Path directory;
  private ServerSocketChannel node;
  private Agent agent;
  private int port;

  @BeforeEach
  void start() throws IOException {
    node = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    node.bind(UnixDomainSocketAddress.of(directory.resolve("node")), 128);
    port = freePort();
    agent =
        Agent.start(
            directory,
            List.of(),
            Agent.built("sanitized").toString(),
            "--metadata",
            "127.0.0.1:" + port,
            "unix:" + directory.resolve("node"));
  }

  @AfterEach
  void stop() throws IOException {
    agent.close();
    node.close();
  }

  private static int freePort() throws IOException {
    try (ServerSocket any = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return any.getLocalPort();
    }
  }

  private Socket client() throws IOException {
    return new Socket(InetAddress.getLoopbackAddress(), port);
  }

  @Test
  void eachDirectionIsCarriedAndEndsByItself() throws Exception {
    long descriptors = agent.descriptors();
    try (Socket client = client();
        SocketChannel server = node.accept()) {
      client.getOutputStream().write("GET / HTTP/1.1\r\n\r\n".getBytes(UTF_8));
      client.shutdownOutput();
      assertEquals(
          "GET / HTTP/1.1\r\n\r\n",
          new String(Channels.newInputStream(server).readAllBytes(), UTF_8));

      Channels.newOutputStream(server).write("an answer".getBytes(UTF_8));
      server.shutdownOutput();
      assertEquals("an answer", new String(client.getInputStream().readAllBytes(), UTF_8));
    }
    await("nothing stays open").atMost(PATIENCE).until(() -> agent.descriptors() == descriptors);
  }

  @Test
  void muchIsCarriedWhole() throws Exception {
    byte[] much = new byte[8 << 20];
    new Random(1).nextBytes(much);
    try (Socket client = client();
        SocketChannel server = node.accept()) {
      CompletableFuture<Void> sent = CompletableFuture.runAsync(() -> write(client, much));
      assertArrayEquals(much, Channels.newInputStream(server).readAllBytes());
      sent.join();
    }
  }

  private static void write(Socket to, byte[] bytes) {
    try {
      to.getOutputStream().write(bytes);
      to.shutdownOutput();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void aClientThatGoesTakesItsConnectionAlong() throws Exception {
    long descriptors = agent.descriptors();
    Socket client = client();
    try (SocketChannel server = node.accept()) {
      client.setSoLinger(true, 0);
      client.close();
      assertEquals(-1, Channels.newInputStream(server).read());
    }
    await("nothing stays open").atMost(PATIENCE).until(() -> agent.descriptors() == descriptors);
  }

  @Test
  void aNodeThatDoesNotAnswerEndsItsClientsConnection() throws Exception {
    node.close();
    try (Socket client = client()) {
      assertEquals(-1, client.getInputStream().read());
    }
    assertTrue(agent.isAlive(), agent.log());
  }

  @Test
  void moreClientsThanItTakesWaitTheirTurn() throws Exception {
    List<AutoCloseable> held = new ArrayList<>();
    try {
      for (int i = 0; i < MOST_CLIENTS; i++) {
        held.add(client());
        held.add(node.accept());
      }
      node.configureBlocking(false);
      try (Socket waiting = client()) {
        waiting.getOutputStream().write('x');
        // Those that it does serve go on meanwhile: it is not that nothing moves.
        ((Socket) held.get(2)).getOutputStream().write('y');
        assertEquals('y', Channels.newInputStream((SocketChannel) held.get(3)).read());
        assertEquals(null, node.accept());

        held.get(0).close();
        held.get(1).close();
        node.configureBlocking(true);
        try (SocketChannel server = node.accept()) {
          assertEquals('x', Channels.newInputStream(server).read());
        }
      }
    } finally {
      for (AutoCloseable each : held) {
        each.close();
      }
    }
  }

  /** Any user of the guest could keep all the others away. */
  @Test
  void clientsThatStayWhenTheirAnswerIsOverMakeWay() throws Exception {
    List<Socket> idle = new ArrayList<>();
    try {
      for (int i = 0; i < MOST_CLIENTS; i++) {
        idle.add(client());
        node.accept().close();
      }
      try (Socket waiting = client()) {
        waiting.getOutputStream().write('x');
        try (SocketChannel server = node.accept()) {
          assertEquals('x', Channels.newInputStream(server).read());
        }
      }
    } finally {
      for (Socket each : idle) {
        each.close();
      }
    }
  }

  @Test
  void aClientThatReadsNothingMakesWay() throws Exception {
    long descriptors = agent.descriptors();
    try (Socket _ = client()) {
      try (SocketChannel server = node.accept()) {
        // As much as the sockets take; the agent has to hold the rest.
        server.configureBlocking(false);
        ByteBuffer much = ByteBuffer.allocate(64 << 20);
        int idle = 0;
        while (idle < 5) {
          idle = server.write(much) > 0 ? 0 : idle + 1;
          Thread.sleep(20);
        }
        assertTrue(much.hasRemaining());
      }
      await("it is let go").atMost(PATIENCE).until(() -> agent.descriptors() == descriptors);
    }
  }
}
