package dev.vireo.worker.agent;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.ConnectRequest;
import dev.vireo.proto.agent.v1.Done;
import dev.vireo.proto.agent.v1.EndOfData;
import dev.vireo.proto.agent.v1.Failure;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.HttpHeader;
import dev.vireo.proto.v1.InvokeRequest;
import dev.vireo.proto.v1.InvokeResponse;
import dev.vireo.proto.v1.InvokeStart;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.StreamEnd;
import dev.vireo.proto.v1.VsockStatus;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelFailure;
import dev.vireo.worker.agent.FakeAgent.Connection;
import dev.vireo.worker.time.ManualTime;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.random.RandomGenerator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Requests to a guest's HTTP server, with a server that may answer as it likes. */
@Timeout(60)
final class InvokeTest {
  private static final String HELLO = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

  @TempDir private Path directory;

  private final ManualTime time = new ManualTime();
  private FakeAgent agent;
  private AgentCalls calls;

  @BeforeEach
  void listen() throws IOException {
    Path socket = directory.resolve("vsock");
    agent = new FakeAgent(socket);
    MicroVmReport report =
        MicroVmReport.newBuilder()
            .setState(MicroVmState.RUNNING)
            .setVsock(VsockStatus.newBuilder().setCid(3).setSocket(socket.toString()))
            .build();
    calls =
        new AgentCalls(
            _ -> Optional.of(report),
            new ContainerProcesses(time, RandomGenerator.of("L64X128MixRandom")),
            new Activity(time),
            time);
  }

  @AfterEach
  void nothingIsLeft() throws IOException {
    agent.close();
    await().until(() -> calls.count() == 0 && time.alarms() == 0);
  }

  private static InvokeStart.Builder start(String method) {
    return InvokeStart.newBuilder().setMethod(method).setPath("/f?x=1").setPort(8080);
  }

  private static InvokeStart.Builder put(int bytes) {
    return start("PUT")
        .addHeaders(HttpHeader.newBuilder().setName("Content-Length").setValue("" + bytes));
  }

  private static TunnelDown.Builder down(InvokeRequest.Builder request) {
    return TunnelDown.newBuilder().setInvoke(request);
  }

  private static TunnelDown.Builder body(String text) {
    return down(InvokeRequest.newBuilder().setBody(ByteString.copyFromUtf8(text)));
  }

  private static TunnelDown.Builder end() {
    return down(InvokeRequest.newBuilder().setEnd(StreamEnd.getDefaultInstance()));
  }

  private FakeTunnel invoke(InvokeStart.Builder start) {
    return invoke(FakeTunnel.reading(), start);
  }

  private FakeTunnel invoke(FakeTunnel tunnel, InvokeStart.Builder start) {
    tunnel.say(down(InvokeRequest.newBuilder().setStart(start)));
    calls.serve("u1", tunnel);
    return tunnel;
  }

  /** The server's end of it, connected. */
  private Connection accept() throws IOException {
    Connection connection = agent.answer();
    assertEquals(
        HostMessage.newBuilder().setConnect(ConnectRequest.newBuilder().setPort(8080)).build(),
        connection.hear());
    connection.say(AgentMessage.newBuilder().setDone(Done.getDefaultInstance()));
    return connection;
  }

  private static String heard(Connection connection) throws IOException {
    HostMessage message = connection.hear();
    assertNotNull(message, "the host has closed the connection");
    assertTrue(message.hasData(), message::toString);
    return message.getData().toStringUtf8();
  }

  private static void answer(Connection connection, String text) throws IOException {
    connection.say(AgentMessage.newBuilder().setData(ByteString.copyFromUtf8(text)));
  }

  private static void assertFailure(ErrorReason reason, FakeTunnel tunnel) {
    Optional<TunnelFailure> ended = tunnel.awaitEnd();
    assertEquals(reason.name(), ended.orElseThrow().getReason(), ended::toString);
  }

  @Test
  void aRequestIsSentAndItsAnswerComesBack() throws Exception {
    FakeTunnel tunnel = invoke(start("GET"));
    tunnel.say(end());
    try (Connection connection = accept()) {
      assertEquals(
          "GET /f?x=1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", heard(connection));
      answer(connection, HELLO);
      InvokeResponse head = tunnel.next().getInvoke();
      assertEquals(200, head.getHead().getStatus());
      assertEquals("Content-Length", head.getHead().getHeaders(0).getName());
      assertEquals("hello", tunnel.next().getInvoke().getBody().toStringUtf8());
      assertTrue(tunnel.next().getInvoke().hasEnd());
      assertNull(connection.hear(), "and the host hangs up, without a half-close before");
    }
    assertEquals(Optional.empty(), tunnel.awaitEnd());
  }

  @Test
  void aBodyIsPassedOnAsItComes() throws Exception {
    FakeTunnel tunnel = invoke(put(4));
    try (Connection connection = accept()) {
      assertTrue(heard(connection).startsWith("PUT /f?x=1 HTTP/1.1\r\nContent-Length: 4\r\n"));
      tunnel.say(body("bo"));
      assertEquals("bo", heard(connection));
      tunnel.say(body("dy"));
      assertEquals("dy", heard(connection));
      tunnel.halfClose();
      answer(connection, HELLO);
      assertNull(connection.hear());
    }
    assertEquals(Optional.empty(), tunnel.awaitEnd());
  }

  @Test
  void aBodyHasTheLengthThatItWasSaidToHave() throws Exception {
    FakeTunnel tooLong = invoke(put(1));
    tooLong.say(body("bo"));
    try (Connection _ = agent.answer()) {
      assertFailure(ErrorReason.FIELD_INVALID, tooLong);
    }

    FakeTunnel tooShort = invoke(put(3));
    try (Connection connection = accept()) {
      assertTrue(heard(connection).startsWith("PUT"));
      tooShort.say(body("bo"));
      assertEquals("bo", heard(connection));
      tooShort.say(end());
      assertFailure(ErrorReason.FIELD_INVALID, tooShort);
    }
  }

  @Test
  void anAnswerThatDoesNotWaitForTheRequestIsTheAnswer() throws Exception {
    FakeTunnel tunnel = invoke(put(1_000_000));
    try (Connection connection = accept()) {
      answer(connection, "HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n");
      assertEquals(413, tunnel.next().getInvoke().getHead().getStatus());
    }
    assertEquals(Optional.empty(), tunnel.awaitEnd());
  }

  @Test
  void aPortWhereNobodyListensIsRefused() throws Exception {
    FakeTunnel tunnel = invoke(start("GET"));
    try (Connection connection = agent.answer()) {
      connection.say(failure(Failure.Code.REFUSED, "port 8080: Connection refused"));
      assertFailure(ErrorReason.PORT_REFUSED, tunnel);
    }
  }

  private static AgentMessage.Builder failure(Failure.Code code, String message) {
    return AgentMessage.newBuilder()
        .setFailure(Failure.newBuilder().setCode(code).setMessage(message));
  }

  @ParameterizedTest
  @ValueSource(strings = {"SSH-2.0-x", "HTTP/1.1 101 Up"})
  void whatIsNoAnswerIsToldAsSuch(String first) throws Exception {
    FakeTunnel tunnel = invoke(start("GET"));
    try (Connection connection = accept()) {
      answer(connection, first + "\r\n\r\n");
      assertFailure(ErrorReason.HTTP_INVALID, tunnel);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"HTTP/1.1 200 OK\r\n", ""})
  void anEndBeforeTheAnswersIsToldAsSuch(String first) throws Exception {
    FakeTunnel tunnel = invoke(start("GET"));
    try (Connection connection = accept()) {
      answer(connection, first);
      connection.say(AgentMessage.newBuilder().setEnd(EndOfData.getDefaultInstance()));
      assertFailure(ErrorReason.HTTP_BROKEN_OFF, tunnel);
    }
  }

  @Test
  void aServerThatResetsTheConnectionHasBrokenOff() throws Exception {
    FakeTunnel tunnel = invoke(start("GET"));
    try (Connection connection = accept()) {
      answer(connection, HELLO.substring(0, HELLO.length() - 1));
      connection.say(failure(Failure.Code.FAILED, "port 8080: Connection reset by peer"));
      assertFailure(ErrorReason.HTTP_BROKEN_OFF, tunnel);
    }
  }

  @Test
  void aServerThatDoesNotAnswerIsGivenUp() throws Exception {
    FakeTunnel tunnel = invoke(start("GET").setTimeout(Duration.newBuilder().setSeconds(5)));
    tunnel.say(end());
    try (Connection connection = accept()) {
      assertTrue(heard(connection).startsWith("GET"));
      time.pass(java.time.Duration.ofMillis(4_999));
      assertFalse(tunnel.ended.isDone());

      time.pass(java.time.Duration.ofMillis(1));

      assertFailure(ErrorReason.HTTP_TIMED_OUT, tunnel);
      assertNull(connection.hear());
    }
  }

  @Test
  void aClientThatDoesNotReadHoldsUpTheServerAndNotForEver() throws Exception {
    FakeTunnel tunnel = invoke(new FakeTunnel(), start("GET"));
    tunnel.read(1);
    try (Connection connection = accept()) {
      answer(connection, "HTTP/1.1 200 OK\r\n\r\n");
      assertEquals(200, tunnel.next().getInvoke().getHead().getStatus());
      answer(connection, "first");
      answer(connection, "second");
      assertEquals(0, tunnel.unread());

      time.pass(InvokeConversation.USUAL_LIMIT);

      assertFailure(ErrorReason.HTTP_TIMED_OUT, tunnel);
      tunnel.go();
    }
  }

  @Test
  void aClientThatGoesHasTheConnectionClosed() throws Exception {
    FakeTunnel tunnel = invoke(start("GET"));
    try (Connection connection = accept()) {
      answer(connection, "HTTP/1.1 200 OK\r\n\r\n");
      assertEquals(200, tunnel.next().getInvoke().getHead().getStatus());
      tunnel.go();
      assertNull(connection.hear());
    }
  }

  @Test
  void whatIsNoHttpIsRefusedBeforeAnybodyIsAsked() {
    assertFailure(ErrorReason.FIELD_INVALID, invoke(start("GET").setPath("/a b")));
  }
}
