package dev.vireo.worker.agent.program;

import static dev.vireo.worker.agent.program.Agent.PATIENCE;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.ConnectRequest;
import dev.vireo.proto.agent.v1.Failure;
import dev.vireo.proto.agent.v1.HostMessage;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Streams to servers of a guest. */
class AgentForwardTest {
  private static final ByteString MOST = ByteString.copyFrom(new byte[64 << 10]);

  private final Agent agent;

  AgentForwardTest(@TempDir Path directory) throws IOException {
    this.agent = Agent.start(directory);
  }

  @AfterEach
  void stop() {
    agent.close();
  }

  @ParameterizedTest
  @ValueSource(strings = {"127.0.0.1", "::1"})
  void eachDirectionEndsByItself(String address) throws Exception {
    long descriptors = agent.descriptors();
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getByName(address));
        Talk talk = agent.talk(connect(server.getLocalPort()))) {
      try (Socket peer = server.accept()) {
        assertTrue(talk.hear().hasDone());
        talk.say(Talk.data("to the server"));
        talk.say(Talk.end());
        assertEquals("to the server", text(peer.getInputStream().readAllBytes()));

        peer.getOutputStream().write("from the server".getBytes(UTF_8));
        peer.shutdownOutput();

        assertEquals("from the server", talk.hear().getData().toStringUtf8());
        assertEquals(List.of(AgentMessage.MessageCase.END), cases(talk.rest()));
      }
    }
    await("nothing stays open").atMost(PATIENCE).until(() -> agent.descriptors() == descriptors);
  }

  @Test
  void theServerMayEndFirst() throws Exception {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        Talk talk = agent.talk(connect(server.getLocalPort()));
        Socket peer = server.accept()) {
      peer.shutdownOutput();
      assertTrue(talk.hear().hasDone());
      assertTrue(talk.hear().hasEnd());
      talk.say(Talk.data("still heard"));
      talk.say(Talk.end());

      assertEquals("still heard", text(peer.getInputStream().readAllBytes()));
      assertEquals(List.of(), talk.rest());
    }
  }

  @Test
  void whoDoesNotReadMakesTheOtherSideWait() throws Exception {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        Talk talk = agent.talk(connect(server.getLocalPort()));
        Socket peer = server.accept()) {
      assertTrue(talk.hear().hasDone());

      long taken = talk.sayUntilItStands(Talk.data(MOST));

      assertTrue(taken < 32 << 20, () -> taken + " bytes were taken for nobody");
      assertTrue(agent.residentKib() < 2048, "the agent keeps none");
      byte[] some = peer.getInputStream().readNBytes((int) taken / 2);
      assertEquals(taken / 2, some.length);
    }
  }

  /** Its answer may be that it wants no more. */
  @Test
  void whatAServerSaidBeforeItBrokeOffIsHeard() throws Exception {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        Talk talk = agent.talk(connect(server.getLocalPort()))) {
      try (Socket peer = server.accept()) {
        assertTrue(talk.hear().hasDone());
        talk.sayUntilItStands(Talk.data(MOST));
        agent.standStill();
        peer.getOutputStream().write("413".getBytes(UTF_8));
      } // It has not read what was sent, which breaks it off.
      agent.goOn();

      assertEquals("413", talk.hear().getData().toStringUtf8());
      assertEquals(List.of(AgentMessage.MessageCase.FAILURE), cases(talk.rest()));
    }
  }

  @Test
  void aServerThatBreaksOffWhileNobodyReadsKeepsNobodyBusy() throws Exception {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        Talk talk = agent.talk(connect(server.getLocalPort()))) {
      try (Socket peer = server.accept()) {
        fill(peer);
        talk.sayUntilItStands(Talk.data(MOST));
        peer.setSoLinger(true, 0);
      }
      assertTrue(agent.isAtRest(), "it waits for the node alone");
      assertEquals(AgentMessage.MessageCase.FAILURE, cases(talk.rest()).getLast());
    }
  }

  /** How much the sockets take is not known: one of the sizes is more than that. */
  @ParameterizedTest
  @ValueSource(ints = {160, 192, 224, 256, 288})
  void aStreamThatHasEndedWhileNobodyReadsKeepsNobodyBusy(int kib) throws Exception {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        Talk talk = agent.talk(connect(server.getLocalPort()))) {
      talk.say(Talk.end());
      try (Socket peer = server.accept()) {
        assertEquals(-1, peer.getInputStream().read());
        peer.getOutputStream().write(new byte[kib << 10]);
      }
      assertTrue(agent.isAtRest(), "it waits for the node alone");
      assertEquals(AgentMessage.MessageCase.END, cases(talk.rest()).getLast());
    }
  }

  /** Writes until the agent takes no more. */
  private static void fill(Socket peer) throws InterruptedException {
    AtomicLong written = new AtomicLong();
    Thread.ofVirtual()
        .start(() -> {
          try {
            while (true) {
              peer.getOutputStream().write(new byte[1 << 10]);
              written.incrementAndGet();
            }
          } catch (IOException e) {
            // It is closed.
          }
        });
    long before;
    do {
      before = written.get();
      Thread.sleep(300);
    } while (written.get() > before);
  }

  @Test
  void theConnectionsEndIsThatOfTheStream() throws Exception {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      Socket peer;
      try (Talk talk = agent.talk(connect(server.getLocalPort()))) {
        peer = server.accept();
        assertTrue(talk.hear().hasDone());
      }
      try (peer) {
        assertEquals(-1, peer.getInputStream().read());
      }
    }
  }

  @Test
  void aPortWithoutAServerIsRefused() throws Exception {
    int port;
    try (ServerSocket server = new ServerSocket(0)) {
      port = server.getLocalPort();
    }
    Failure failure = agent.answer(connect(port)).getFailure();

    assertEquals(Failure.Code.REFUSED, failure.getCode(), failure::getMessage);
    assertTrue(failure.getMessage().contains(Integer.toString(port)), failure::getMessage);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 65_536, -1})
  void aPortThatIsNoneIsInvalid(int port) throws Exception {
    assertEquals(Failure.Code.INVALID, agent.answer(connect(port)).getFailure().getCode());
  }

  private static List<AgentMessage.MessageCase> cases(List<AgentMessage> messages) {
    return messages.stream().map(AgentMessage::getMessageCase).toList();
  }

  private static HostMessage connect(int port) {
    return HostMessage.newBuilder().setConnect(ConnectRequest.newBuilder().setPort(port)).build();
  }

  private static String text(byte[] bytes) {
    return ByteString.copyFrom(bytes).toStringUtf8();
  }
}
