package dev.vireo.controller.session;

import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeTunnel;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.StreamingClient;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.CopyInRequest;
import dev.vireo.proto.v1.CopyInResponse;
import dev.vireo.proto.v1.CopyInStart;
import dev.vireo.proto.v1.CopyOutRequest;
import dev.vireo.proto.v1.CopyOutResponse;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.ExecExited;
import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecResponse;
import dev.vireo.proto.v1.ExecStart;
import dev.vireo.proto.v1.FileEntry;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.PortConnected;
import dev.vireo.proto.v1.PortForwardRequest;
import dev.vireo.proto.v1.PortForwardResponse;
import dev.vireo.proto.v1.PortForwardStart;
import dev.vireo.proto.v1.Vsock;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import dev.vireo.proto.worker.v1.OpenTunnel;
import dev.vireo.proto.worker.v1.TunnelFailure;
import dev.vireo.proto.worker.v1.TunnelUp;
import io.grpc.Status;
import java.util.Iterator;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** A call to a guest's agent, from the client to the worker that serves it, and back. */
final class TunnelTest extends ControllerTest {
  private static CreateMicroVmRequest withVsock(String id) {
    return probe(id, spec -> spec.setVsock(Vsock.getDefaultInstance()));
  }

  private MicroVmServiceGrpc.MicroVmServiceStub client() {
    return MicroVmServiceGrpc.newStub(controller.channel());
  }

  private static ExecRequest start(String id) {
    return ExecRequest.newBuilder()
        .setStart(ExecStart.newBuilder().setName(name(id)).addArguments("true").setStdin(true))
        .build();
  }

  private static ExecRequest stdin(int i) {
    return ExecRequest.newBuilder().setStdin(ByteString.copyFromUtf8("" + i)).build();
  }

  private static TunnelUp.Builder stdout(int i) {
    return TunnelUp.newBuilder()
        .setExec(ExecResponse.newBuilder().setStdout(ByteString.copyFromUtf8("" + i)));
  }

  /** A command that its worker has begun to serve, with the start taken. */
  private final class Running {
    final StreamingClient<ExecRequest, ExecResponse> client = new StreamingClient<>();
    final OpenTunnel opened;
    final FakeTunnel tunnel;

    Running(FakeWorker worker, String id) throws InterruptedException {
      client().exec(client);
      client.say(start(id));
      opened = worker.next().getOpenTunnel();
      tunnel = new FakeTunnel(controller.channel(), opened.getTunnelId());
      assertEquals(start(id), tunnel.next().getExec());
    }
  }

  private Running exec(FakeWorker worker) throws InterruptedException {
    running(worker, withVsock("vm"));
    return new Running(worker, "vm");
  }

  private static void assertReason(ErrorReason reason, Throwable ended) {
    assertNotNull(ended);
    assertEquals(Optional.of(reason), Errors.reasonOf(ended), ended::toString);
  }

  @Test
  void messagesPassBothWaysAndTheWorkersEndIsTheCalls() throws Exception {
    FakeWorker worker = controller.join("a");
    Assignment assignment = running(worker, withVsock("vm"));
    Running exec = new Running(worker, "vm");

    assertEquals(assignment.getUid(), exec.opened.getUid());
    assertTrue(exec.opened.getTunnelId().matches("[0-9a-f]{32}"), exec.opened.getTunnelId());
    for (int i = 0; i < 10; i++) {
      exec.client.say(stdin(i));
      assertEquals(stdin(i), exec.tunnel.next().getExec());
      exec.tunnel.say(stdout(i));
      assertEquals(stdout(i).getExec(), exec.client.next());
    }
    exec.client.complete();
    assertTrue(exec.tunnel.next().hasEnd());
    ExecResponse last =
        ExecResponse.newBuilder().setExited(ExecExited.newBuilder().setStatus(7)).build();
    exec.tunnel.say(TunnelUp.newBuilder().setExec(last));
    exec.tunnel.complete();

    assertEquals(last, exec.client.next());
    assertNull(exec.client.awaitEnd());
    assertNull(exec.tunnel.awaitEnd());
  }

  @Test
  void filesAndPortsGoTheSameWay() throws Exception {
    FakeWorker worker = controller.join("a");
    running(worker, withVsock("vm"));

    StreamingClient<CopyInRequest, CopyInResponse> in = new StreamingClient<>();
    client().copyIn(in);
    CopyInRequest into =
        CopyInRequest.newBuilder()
            .setStart(CopyInStart.newBuilder().setName(name("vm")).setPath("/x"))
            .build();
    in.say(into);
    in.complete();
    FakeTunnel copyIn = dial(worker);
    assertEquals(into, copyIn.next().getCopyIn());
    assertTrue(copyIn.next().hasEnd());
    CopyInResponse copied = CopyInResponse.newBuilder().setBytes(5).build();
    copyIn.say(TunnelUp.newBuilder().setCopyIn(copied));
    copyIn.complete();
    assertEquals(copied, in.next());
    assertNull(in.awaitEnd());

    CopyOutRequest from = CopyOutRequest.newBuilder().setName(name("vm")).setPath("/x").build();
    Iterator<CopyOutResponse> out = controller.client().copyOut(from);
    FakeTunnel copyOut = dial(worker);
    assertEquals(from, copyOut.next().getCopyOut());
    assertTrue(copyOut.next().hasEnd());
    CopyOutResponse entry =
        CopyOutResponse.newBuilder().setEntry(FileEntry.newBuilder().setPath("a")).build();
    copyOut.say(TunnelUp.newBuilder().setCopyOut(entry));
    copyOut.complete();
    assertEquals(entry, out.next());
    assertFalse(out.hasNext());

    StreamingClient<PortForwardRequest, PortForwardResponse> port = new StreamingClient<>();
    client().portForward(port);
    PortForwardRequest to =
        PortForwardRequest.newBuilder()
            .setStart(PortForwardStart.newBuilder().setName(name("vm")).setPort(80))
            .build();
    port.say(to);
    FakeTunnel forward = dial(worker);
    assertEquals(to, forward.next().getPortForward());
    PortForwardResponse connected =
        PortForwardResponse.newBuilder().setConnected(PortConnected.getDefaultInstance()).build();
    forward.say(TunnelUp.newBuilder().setPortForward(connected));
    assertEquals(connected, port.next());
    for (String kind : new String[] {"exec", "copy_in", "copy_out", "port_forward"}) {
      assertEquals(kind.equals("port_forward") ? 1 : 0, open(kind), kind);
      assertEquals(kind.equals("exec") ? 0 : 1, opened(kind), kind);
      assertEquals(0, failed(kind), kind);
    }
  }

  private FakeTunnel dial(FakeWorker worker) {
    return new FakeTunnel(controller.channel(), worker.next().getOpenTunnel().getTunnelId());
  }

  private double open(String kind) {
    return controller.meters.get("vireo.tunnels").tag("kind", kind).gauge().value();
  }

  private double opened(String kind) {
    return controller.meters.get("vireo.tunnels.opened").tag("kind", kind).counter().count();
  }

  private double failed(String kind) {
    return controller.meters.get("vireo.tunnels.failed").tag("kind", kind).counter().count();
  }

  @Test
  void aClientThatDoesNotReadHoldsItsWorkerUp() throws Exception {
    Running exec = exec(controller.join("a"));

    int sent = 0;
    while (sent < 100 && becomesReady(exec.tunnel)) {
      exec.tunnel.say(stdout(sent++));
    }

    assertTrue(sent < 10, sent + " messages were taken for one who reads none");
    for (int i = 0; i < sent; i++) {
      assertEquals(stdout(i).getExec(), exec.client.next());
    }
    exec.client.ask();
    await().until(exec.tunnel::isReady);
  }

  private static boolean becomesReady(FakeTunnel tunnel) throws InterruptedException {
    for (int i = 0; i < 30 && !tunnel.isReady(); i++) {
      Thread.sleep(10); // That nothing happens can only be waited for.
    }
    return tunnel.isReady();
  }

  @Test
  void aWorkerThatDoesNotReadHoldsItsClientUp() throws Exception {
    Running exec = exec(controller.join("a"));

    int sent = 0;
    for (int quiet = 0; sent < 100 && quiet < 30; quiet++) {
      if (exec.client.isReady()) {
        exec.client.say(stdin(sent++));
        quiet = 0;
      } else {
        Thread.sleep(10); // That nothing happens can only be waited for.
      }
    }

    assertTrue(sent < 10, sent + " messages were taken for one who reads none");
    for (int i = 0; i < sent; i++) {
      assertEquals(stdin(i), exec.tunnel.next().getExec());
    }
    exec.tunnel.ask();
    await().until(exec.client::isReady);
  }

  @Test
  void aClientThatGoesEndsTheWorkersCall() throws Exception {
    Running exec = exec(controller.join("a"));
    exec.client.cancel();

    Throwable ended = exec.tunnel.awaitEnd();
    assertNotNull(ended);
    assertEquals(Status.Code.CANCELLED, Status.fromThrowable(ended).getCode());
    assertEquals(0, open("exec"));
    assertEquals(0, failed("exec"), "it is no failure of ours");
  }

  @Test
  void theWorkersReasonReachesTheClient() throws Exception {
    FakeWorker worker = controller.join("a");
    Running exec = exec(worker);
    exec.tunnel.fail(
        TunnelFailure.newBuilder()
            .setReason(ErrorReason.AGENT_UNAVAILABLE.name())
            .setMessage("nobody is there"));
    Throwable ended = exec.client.awaitEnd();
    assertReason(ErrorReason.AGENT_UNAVAILABLE, ended);
    assertEquals("nobody is there", Status.fromThrowable(ended).getDescription());

    Running again = new Running(worker, "vm");
    again.tunnel.fail(
        TunnelFailure.newBuilder()
            .setReason(ErrorReason.GUEST_NOT_FOUND.name())
            .setField("start.path")
            .setMessage("is not there."));
    Throwable field = again.client.awaitEnd();
    assertReason(ErrorReason.GUEST_NOT_FOUND, field);
    assertEquals("start.path: is not there.", Status.fromThrowable(field).getDescription());
    assertEquals(2, failed("exec"));
  }

  @Test
  void aWorkersCallThatDiesOrMakesNoSenseEndsTheClients() throws Exception {
    FakeWorker worker = controller.join("a");
    Running exec = exec(worker);
    exec.tunnel.die();
    assertReason(ErrorReason.NODE_UNREACHABLE, exec.client.awaitEnd());

    Running strange = new Running(worker, "vm");
    strange.tunnel.say(TunnelUp.newBuilder().setCopyIn(CopyInResponse.getDefaultInstance()));
    assertReason(ErrorReason.INTERNAL, strange.client.awaitEnd());
    assertReason(ErrorReason.INTERNAL, strange.tunnel.awaitEnd());
  }

  @Test
  void tunnelsEndWithTheirSession() throws Exception {
    FakeWorker worker = controller.join("a");
    Running exec = exec(worker);
    worker.close();

    assertReason(ErrorReason.NODE_UNREACHABLE, exec.client.awaitEnd());
    assertReason(ErrorReason.NODE_UNREACHABLE, exec.tunnel.awaitEnd());
  }

  @Test
  void tunnelsEndWithTheControllersTerm() throws Exception {
    Running exec = exec(controller.join("a"));
    controller.sessions.endAll();

    assertReason(ErrorReason.NODE_UNREACHABLE, exec.client.awaitEnd());
  }

  @Test
  void aWorkerThatDoesNotDialIsNotWaitedForWithoutEnd() {
    FakeWorker worker = controller.join("a");
    running(worker, withVsock("vm"));
    StreamingClient<ExecRequest, ExecResponse> client = new StreamingClient<>();
    client().exec(client);
    client.say(start("vm"));
    OpenTunnel opened = worker.next().getOpenTunnel();

    assertReason(ErrorReason.NODE_UNREACHABLE, client.awaitEnd());
    FakeTunnel late = new FakeTunnel(controller.channel(), opened.getTunnelId());
    assertReason(ErrorReason.FIELD_INVALID, late.awaitEnd());
    assertEquals(0, open("exec"));
    assertEquals(1, failed("exec"));
  }

  @Test
  void anIdIsGoodOnceAndNobodyElsesToGuess() throws Exception {
    FakeWorker worker = controller.join("a");
    Running exec = exec(worker);
    for (String id : new String[] {exec.opened.getTunnelId(), "", "0".repeat(32)}) {
      FakeTunnel thief = new FakeTunnel(controller.channel(), id);
      assertReason(ErrorReason.FIELD_INVALID, thief.awaitEnd());
    }
    assertNotEquals(exec.opened.getTunnelId(), new Running(worker, "vm").opened.getTunnelId());
    exec.tunnel.say(stdout(1));
    assertEquals(stdout(1).getExec(), exec.client.next());
  }

  @Test
  void whereNoAgentCanBeNoneIsAsked() {
    assertEnds(ErrorReason.MICROVM_NOT_FOUND, "none");
    create(withVsock("pending"));
    assertEnds(ErrorReason.NOT_ON_A_NODE, "pending");
    FakeWorker worker = controller.join("a");
    Assignment pending = worker.nextAssignment();
    worker.report(FakeWorker.running(pending));
    running(worker, "deaf");
    assertEnds(ErrorReason.AGENT_UNAVAILABLE, "deaf");
    Assignment paused = running(worker, withVsock("paused"));
    worker.report(FakeWorker.about(paused, Outcome.CREATED).setState(MicroVmState.PAUSED));
    awaitState("paused", MicroVmState.PAUSED);
    assertEnds(ErrorReason.STATE_CONFLICT, "paused");
    worker.close();
    await().untilAsserted(() -> assertEnds(ErrorReason.NODE_UNREACHABLE, "pending"));
    assertEquals(0, opened("exec"), "no worker was asked");
  }

  private void assertEnds(ErrorReason reason, String id) {
    StreamingClient<ExecRequest, ExecResponse> client = new StreamingClient<>();
    client().exec(client);
    client.say(start(id));
    assertReason(reason, client.awaitEnd());
  }

  @Test
  void whatIsWrongWithAMessageIsSaidAndEndsTheCall() throws Exception {
    Running exec = exec(controller.join("a"));
    exec.tunnel.ask();
    exec.client.say(ExecRequest.newBuilder().setSignal(65).build());

    Throwable ended = exec.client.awaitEnd();
    assertReason(ErrorReason.FIELD_INVALID, ended);
    assertEquals("signal: is 65; 1 to 64.", Status.fromThrowable(ended).getDescription());
    assertReason(ErrorReason.FIELD_INVALID, exec.tunnel.awaitEnd());
  }

  @Test
  void aCallThatSaysNothingIsTold() {
    StreamingClient<ExecRequest, ExecResponse> client = new StreamingClient<>();
    client().exec(client);
    client.complete();
    assertReason(ErrorReason.FIELD_REQUIRED, client.awaitEnd());
  }

  @Test
  void aClientThatGoesBeforeItsWorkerDialsLeavesNothing() {
    FakeWorker worker = controller.join("a");
    running(worker, withVsock("vm"));
    StreamingClient<ExecRequest, ExecResponse> client = new StreamingClient<>();
    client().exec(client);
    client.say(start("vm"));
    OpenTunnel opened = worker.next().getOpenTunnel();
    client.cancel();
    await().until(() -> open("exec") == 0);

    FakeTunnel late = new FakeTunnel(controller.channel(), opened.getTunnelId());
    assertReason(ErrorReason.FIELD_INVALID, late.awaitEnd());
  }
}
