package dev.vireo.controller.reconcile;

import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.controller.session.WorkerSession;
import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeTunnel;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.StreamingClient;
import dev.vireo.controller.testing.TestController;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecResponse;
import dev.vireo.proto.v1.ExecStart;
import dev.vireo.proto.v1.InspectMicroVmRequest;
import dev.vireo.proto.v1.InspectMicroVmResponse;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmServiceGrpc.MicroVmServiceStub;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.NodeStatus.Health;
import dev.vireo.proto.v1.StreamLogsRequest;
import dev.vireo.proto.v1.StreamLogsResponse;
import dev.vireo.proto.v1.TraceMicroVmRequest;
import dev.vireo.proto.v1.TraceMicroVmResponse;
import dev.vireo.proto.v1.Vsock;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.Heartbeat;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import dev.vireo.proto.worker.v1.ReadLog;
import dev.vireo.proto.worker.v1.WorkerMessage;
import java.time.Duration;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Workers that stand still, and hold their connection and what goes by it. */
final class LeasesTest extends ControllerTest {
  private static final Duration PAST_LEASE = TestController.LEASE.plusMillis(1);
  private static final Duration LAST_WORD = TestController.LEASE.dividedBy(3);

  /** Beside the controller's own, which takes its turns when it likes, and never sees less. */
  private Leases leases() {
    return new Leases(controller.nodes, controller.sessions, controller.time);
  }

  private void passLease() {
    Leases leases = leases();
    controller.time.advance(PAST_LEASE);
    leases.round();
    controller.time.advance(LAST_WORD);
    leases.round();
  }

  private boolean isConnected(String node) {
    return controller.sessions.find(node).isPresent();
  }

  private static void assertUnreachable(String node, @Nullable Throwable error) {
    Throwable ended = Objects.requireNonNull(error);
    assertEquals(
        Optional.of(ErrorReason.NODE_UNREACHABLE), Errors.reasonOf(ended), ended::toString);
    assertEquals(Map.of("node", node), Errors.metadataOf(ended), ended::toString);
    assertTrue(Errors.retryAfter(ended).isPresent(), ended::toString);
  }

  @Test
  void aSessionEndsAHeartbeatsTimeAfterItsNodeWasFoundLost() {
    FakeWorker worker = controller.join("a");
    Leases leases = leases();

    controller.time.advance(PAST_LEASE);
    leases.round();
    controller.time.advance(LAST_WORD.minusMillis(1));
    leases.round();
    assertTrue(isConnected("a"));
    controller.time.advance(Duration.ofMillis(1));
    leases.round();

    assertUnreachable("a", worker.awaitEnd());
    assertEquals(Health.LOST, controller.nodes.health("a"));
  }

  @Test
  void whoeverIsHeardOfKeepsItsSession() {
    controller.stopReconciler(); // Its rounds may come late: these here are the only ones.
    FakeWorker silent = controller.join("silent");
    FakeWorker slow = controller.join("slow");
    Leases leases = leases();

    for (int i = 0; i < 3; i++) {
      controller.time.advance(PAST_LEASE);
      leases.round();
      slow.heartbeat();
      await().until(() -> controller.nodes.health("slow") == Health.READY);
      controller.time.advance(LAST_WORD);
      leases.round();
    }

    assertTrue(isConnected("slow"));
    assertUnreachable("silent", silent.awaitEnd());
  }

  /** It takes everybody for lost then, and has yet to read what they have said. */
  @Test
  void aControllerThatStoodStillHearsItsWorkersFirst() {
    FakeWorker worker = controller.join("a");
    Leases leases = leases();

    controller.time.advance(Duration.ofHours(1));
    leases.round();
    worker.heartbeat();
    await().until(() -> controller.nodes.health("a") == Health.READY);
    controller.time.advance(LAST_WORD);
    leases.round();

    assertTrue(isConnected("a"));
  }

  @Test
  void whatIsRelayedToItEndsWithItsSessionAndNamesTheNode() throws Exception {
    FakeWorker worker = controller.join("a");
    running(worker, probe("vm", spec -> spec.setVsock(Vsock.getDefaultInstance())));
    MicroVmServiceStub api = MicroVmServiceGrpc.newStub(controller.channel());

    StreamingClient<ExecRequest, ExecResponse> exec = new StreamingClient<>();
    api.exec(exec);
    exec.say(
        ExecRequest.newBuilder()
            .setStart(ExecStart.newBuilder().setName(name("vm")).addArguments("true"))
            .build());
    FakeTunnel tunnel =
        new FakeTunnel(controller.channel(), worker.next().getOpenTunnel().getTunnelId());
    tunnel.next();
    StreamingClient<TraceMicroVmRequest, TraceMicroVmResponse> trace = new StreamingClient<>();
    api.traceMicroVm(TraceMicroVmRequest.newBuilder().setName(name("vm")).build(), trace);
    assertTrue(worker.next().hasReadTrace());
    StreamingClient<StreamLogsRequest, StreamLogsResponse> log = new StreamingClient<>();
    api.streamLogs(StreamLogsRequest.newBuilder().setName(name("vm")).build(), log);
    assertTrue(worker.next().hasReadLog());
    StreamingClient<InspectMicroVmRequest, InspectMicroVmResponse> inspection =
        new StreamingClient<>();
    api.inspectMicroVm(InspectMicroVmRequest.newBuilder().setName(name("vm")).build(), inspection);
    assertTrue(worker.next().hasInspect());

    passLease();

    assertUnreachable("a", exec.awaitEnd());
    assertUnreachable("a", tunnel.awaitEnd());
    assertUnreachable("a", trace.awaitEnd());
    assertUnreachable("a", log.awaitEnd());
    assertUnreachable("a", inspection.awaitEnd());
  }

  @Test
  void aFollowedLogGoesOnOnceTheWorkerDoes() {
    FakeWorker worker = controller.join("a");
    Assignment assignment = running(worker, "vm");
    StreamingClient<StreamLogsRequest, StreamLogsResponse> log = new StreamingClient<>();
    MicroVmServiceGrpc.newStub(controller.channel())
        .streamLogs(
            StreamLogsRequest.newBuilder().setName(name("vm")).setFollow(true).setOffset(7).build(),
            log);
    assertTrue(worker.next().hasReadLog());
    passLease();

    FakeWorker again =
        controller.join(FakeWorker.hello("a").addReports(FakeWorker.running(assignment)));

    ReadLog read = again.next().getReadLog();
    assertEquals(7, read.getOffset());
    assertTrue(read.getFollow());
  }

  /** What it had sent before it was stopped, and what it sends before it has read of the end. */
  @Test
  void whatASessionBringsAfterItsEndIsNotHeard() {
    FakeWorker worker = controller.join("a");
    Assignment assignment = running(worker, "vm");
    WorkerSession session = controller.sessions.find("a").orElseThrow();
    passLease();
    assertUnreachable("a", worker.awaitEnd());

    session.onNext(WorkerMessage.newBuilder().setHeartbeat(Heartbeat.getDefaultInstance()).build());
    assertEquals(Health.LOST, controller.nodes.health("a"));

    FakeWorker again =
        controller.join(
            FakeWorker.hello("a")
                .addReports(
                    FakeWorker.about(assignment, Outcome.CREATED).setState(MicroVmState.STOPPED)));
    awaitState("vm", MicroVmState.STOPPED);
    session.onNext(WorkerMessage.newBuilder().setReport(FakeWorker.running(assignment)).build());
    running(again, "later");

    assertEquals(MicroVmState.STOPPED, state("vm"));
  }
}
