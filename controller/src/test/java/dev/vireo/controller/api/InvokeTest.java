package dev.vireo.controller.api;

import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeTunnel;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.StreamingClient;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.AttachRequest;
import dev.vireo.proto.v1.AttachResponse;
import dev.vireo.proto.v1.AttachStart;
import dev.vireo.proto.v1.AttachStarted;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.HttpHeader;
import dev.vireo.proto.v1.InvokeHead;
import dev.vireo.proto.v1.InvokeRequest;
import dev.vireo.proto.v1.InvokeResponse;
import dev.vireo.proto.v1.InvokeStart;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.Vsock;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import dev.vireo.proto.worker.v1.TunnelUp;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Calls that wait for their microVM: to its HTTP server, and to its container's process. */
final class InvokeTest extends ControllerTest {
  private final StreamingClient<InvokeRequest, InvokeResponse> client = new StreamingClient<>();

  private static CreateMicroVmRequest function() {
    return probe(
        "fn",
        spec -> {
          spec.getBootBuilder().clearKernel();
          spec.setMemoryMib(128).getContainerBuilder().setImage("busybox");
          spec.getContainerBuilder().getHttpBuilder().setPort(8080);
          return spec;
        });
  }

  private static CreateMicroVmRequest withVsock() {
    return probe("fn", spec -> spec.setVsock(Vsock.getDefaultInstance()));
  }

  private MicroVmServiceGrpc.MicroVmServiceStub api() {
    return MicroVmServiceGrpc.newStub(controller.channel());
  }

  private static InvokeStart.Builder start() {
    return InvokeStart.newBuilder().setName(name("fn")).setPath("/");
  }

  private void invoke(InvokeStart.Builder start) {
    api().invoke(client);
    client.say(InvokeRequest.newBuilder().setStart(start).build());
  }

  private FakeTunnel dial(FakeWorker worker) {
    return new FakeTunnel(controller.channel(), worker.next().getOpenTunnel().getTunnelId());
  }

  private static void assertReason(ErrorReason reason, @Nullable Throwable ended) {
    assertNotNull(ended);
    assertEquals(Optional.of(reason), Errors.reasonOf(ended), ended::toString);
  }

  @Test
  void aRequestGoesToThePortOfTheSpecWithTheTimeThatIsLeft() throws Exception {
    FakeWorker worker = controller.join("a");
    Assignment assignment = running(worker, function());
    worker.report(FakeWorker.running(assignment).setReady(true));
    invoke(start().setTimeout(Duration.newBuilder().setSeconds(30)));

    FakeTunnel tunnel = dial(worker);
    InvokeStart seen = tunnel.next().getInvoke().getStart();
    assertEquals(8080, seen.getPort());
    assertTrue(
        seen.getTimeout().getSeconds() <= 30 && seen.getTimeout().getSeconds() > 10,
        seen::toString);
    InvokeResponse head =
        InvokeResponse.newBuilder().setHead(InvokeHead.newBuilder().setStatus(204)).build();
    tunnel.say(TunnelUp.newBuilder().setInvoke(head));
    assertEquals(head, client.next());
    tunnel.complete();
    assertEquals(null, client.awaitEnd());
  }

  @Test
  void aMicroVmThatStartsIsWaitedFor() throws Exception {
    FakeWorker worker = controller.join("a");
    create(function());
    invoke(start().setPort(81));
    Assignment assignment = worker.nextAssignment();
    worker.report(FakeWorker.running(assignment));
    awaitState("fn", MicroVmState.RUNNING);
    worker.report(FakeWorker.running(assignment).setReady(true));

    FakeTunnel tunnel = dial(worker);
    assertEquals(81, tunnel.next().getInvoke().getStart().getPort());
    client.cancel();
    tunnel.awaitEnd();
  }

  @Test
  void oneThatIsNotReadyInTimeIsNotWaitedForLonger() throws Exception {
    running(controller.join("a"), function());
    invoke(start().setTimeout(Duration.newBuilder().setNanos(1_000_000)));
    assertReason(ErrorReason.WAIT_TIMED_OUT, client.awaitEnd());
  }

  @Test
  void oneThatEndsMeanwhileIsNotWaitedForLonger() throws Exception {
    FakeWorker worker = controller.join("a");
    Assignment assignment = running(worker, function());
    invoke(start());
    worker.report(FakeWorker.about(assignment, Outcome.CREATED).setState(MicroVmState.STOPPED));
    assertReason(ErrorReason.STATE_CONFLICT, client.awaitEnd());
  }

  @Test
  void withoutAPortThereIsNobodyToAsk() throws Exception {
    running(controller.join("a"), withVsock());
    invoke(start());
    assertReason(ErrorReason.FIELD_INVALID, client.awaitEnd());
  }

  static Stream<Arguments> wrong() {
    return Stream.of(
        Arguments.of("start.method", start().setMethod("CONNECT")),
        Arguments.of("start.method", start().setMethod("GET /")),
        Arguments.of("start.path", start().setPath("index")),
        Arguments.of("start.path", start().setPath("/a b")),
        Arguments.of("start.path", start().setPath("/\u00e9")),
        Arguments.of("start.path", start().setPath("/\r\nA: b")),
        Arguments.of("start.port", start().setPort(65_536)),
        Arguments.of("start.timeout", start().setTimeout(Duration.getDefaultInstance())),
        Arguments.of("start.timeout", start().setTimeout(Duration.newBuilder().setSeconds(86_401))),
        Arguments.of(
            "start.timeout", start().setTimeout(Duration.newBuilder().setNanos(1_000_000_000))),
        Arguments.of("start.headers[0].name", start().addHeaders(header("", "x"))),
        Arguments.of("start.headers[0].name", start().addHeaders(header("a b", "x"))),
        Arguments.of("start.headers[0].value", start().addHeaders(header("a", "x\r\ny: z"))),
        Arguments.of("start.headers[0].value", start().addHeaders(header("a", "\u20ac"))),
        Arguments.of("start.headers", start().addHeaders(header("a", "x".repeat(32 << 10)))),
        Arguments.of("start.headers", start().addHeaders(header("content-length", "-1"))),
        Arguments.of(
            "start.headers",
            start()
                .addHeaders(header("Content-Length", "1"))
                .addHeaders(header("content-length", "1"))));
  }

  private static HttpHeader header(String name, String value) {
    return HttpHeader.newBuilder().setName(name).setValue(value).build();
  }

  @ParameterizedTest
  @MethodSource
  void wrong(String field, InvokeStart.Builder start) throws Exception {
    running(controller.join("a"), withVsock());
    invoke(start);
    Throwable ended = client.awaitEnd();
    assertReason(ErrorReason.FIELD_INVALID, ended);
    assertEquals(field, Errors.metadataOf(ended).get("field"));
  }

  @Test
  void aBodyHasItsTurnAndItsLimit() throws Exception {
    running(controller.join("a"), withVsock());
    api().invoke(client);
    client.say(InvokeRequest.newBuilder().setBody(ByteString.copyFromUtf8("x")).build());
    assertReason(ErrorReason.FIELD_REQUIRED, client.awaitEnd());
  }

  // ---- attach

  private final StreamingClient<AttachRequest, AttachResponse> attached = new StreamingClient<>();

  private static AttachRequest attach() {
    return AttachRequest.newBuilder()
        .setStart(AttachStart.newBuilder().setName(name("fn")).setStdin(true))
        .build();
  }

  @Test
  void aProcessIsAttachedToOnceItsGuestRuns() throws Exception {
    FakeWorker worker = controller.join("a");
    create(function());
    api().attach(attached);
    attached.say(attach());
    worker.report(FakeWorker.running(worker.nextAssignment()));

    FakeTunnel tunnel = dial(worker);
    assertEquals(attach(), tunnel.next().getAttach());
    AttachResponse started =
        AttachResponse.newBuilder().setStarted(AttachStarted.getDefaultInstance()).build();
    tunnel.say(TunnelUp.newBuilder().setAttach(started));
    assertEquals(started, attached.next());
    attached.cancel();
    tunnel.awaitEnd();
  }

  @Test
  void whoHasNoContainerHasNoProcess() throws Exception {
    running(controller.join("a"), withVsock());
    api().attach(attached);
    attached.say(attach());
    assertReason(ErrorReason.FIELD_INVALID, attached.awaitEnd());
  }
}
