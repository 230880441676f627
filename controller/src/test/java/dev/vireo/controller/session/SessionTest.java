package dev.vireo.controller.session;

import static dev.vireo.controller.testing.TestController.probe;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.TestController;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.GetNodeRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeResources;
import dev.vireo.proto.v1.NodeStatus.Health;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.Heartbeat;
import dev.vireo.proto.worker.v1.Hello;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import dev.vireo.proto.worker.v1.Welcome;
import dev.vireo.proto.worker.v1.WorkerMessage;
import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/** Workers that come, go, come back, and tell what they should not. */
final class SessionTest extends ControllerTest {
  private Node node(String id) {
    return controller
        .nodeClient()
        .getNode(GetNodeRequest.newBuilder().setName("nodes/" + id).build());
  }

  private static final Duration PAST_LEASE = TestController.LEASE.plusMillis(1);

  // ---- nodes

  @Test
  void aHelloMakesANodeWithAllThatItSays() {
    Hello hello = FakeWorker.hello("a").putLabels("zone", "z").build();
    FakeWorker worker = controller.dial().say(hello);
    Welcome welcome = worker.next().getWelcome();

    assertEquals(TestController.LEASE.toSeconds(), welcome.getLease().getSeconds());
    Node node = node("a");
    assertEquals(Health.READY, node.getStatus().getHealth());
    assertEquals(hello.getCapabilities(), node.getStatus().getCapabilities());
    assertEquals(hello.getCapacity(), node.getStatus().getCapacity());
    assertEquals("z", node.getMeta().getLabelsOrThrow("zone"));
    assertRefused(ErrorReason.NODE_NOT_FOUND, () -> node("b"));
  }

  /** Registering it takes a commit, and with several controllers an election. */
  @Test
  void whatAWorkerSaysBeforeItIsWelcomeIsHeardAfterItsHello() {
    FakeWorker before = controller.join("a");
    create(probe("vm"));
    Assignment assignment = before.nextAssignment();
    before.close();

    controller
        .dial()
        .say(
            FakeWorker.hello("a")
                .addReports(
                    FakeWorker.about(assignment, Outcome.IN_PROGRESS)
                        .setState(MicroVmState.STARTING))
                .build())
        .report(FakeWorker.running(assignment));

    awaitState("vm", MicroVmState.RUNNING);
  }

  /** A controller that is stopped right after would otherwise be waited for. */
  @Test
  void aWorkerIsToldThatHeartbeatsAreAnsweredBeforeItsFirst() {
    FakeWorker worker = controller.join("a");
    await().until(() -> worker.answeredHeartbeats() == 1);

    worker.heartbeat();
    await().until(() -> worker.answeredHeartbeats() == 2);
  }

  @Test
  void aHelloComesOnce() {
    FakeWorker worker = controller.dial().say(FakeWorker.hello("a").build());
    worker.say(FakeWorker.hello("a").build());

    assertEquals(
        Optional.of(ErrorReason.FIELD_INVALID),
        Errors.reasonOf(Objects.requireNonNull(worker.awaitEnd())));
  }

  @Test
  void aNodeIsReadyForALeaseFromItsLastHeartbeat() {
    FakeWorker worker = controller.join("a");
    controller.time.advance(TestController.LEASE.minusMillis(1));
    assertEquals(Health.READY, node("a").getStatus().getHealth());

    controller.time.advance(Duration.ofMillis(1));
    assertEquals(Health.LOST, node("a").getStatus().getHealth());

    worker.heartbeat();
    await().until(() -> node("a").getStatus().getHealth() == Health.READY);
    assertEquals(2, node("a").getStatus().getWarmVmms());
  }

  @Test
  void aLostNodeGetsNothingNewAndKeepsWhatItHas() {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");
    controller.time.advance(PAST_LEASE);

    assertEquals(MicroVmState.PENDING, create(probe("new")).getStatus().getState());
    assertEquals("nodes/a", get("vm").getStatus().getNode());
    assertEquals(MicroVmState.RUNNING, state("vm"));
    controller.join("b");
    await().until(() -> get("new").getStatus().getNode().equals("nodes/b"));
    assertEquals("nodes/a", get("vm").getStatus().getNode(), "a time-out never reassigns");

    worker.heartbeat();
    await().until(() -> node("a").getStatus().getHealth() == Health.READY);
  }

  @Test
  void aNodeThatGrowsIsUsed() {
    FakeWorker worker = controller.join("a");
    create(probe("vm", spec -> spec.setMemoryMib(4_096)));
    worker.nextAssignment();
    assertEquals(MicroVmState.PENDING, create(probe("second")).getStatus().getState());

    worker.say(
        WorkerMessage.newBuilder()
            .setHeartbeat(
                Heartbeat.newBuilder()
                    .setCapacity(NodeResources.newBuilder().setCpuMilli(4_000).setMemoryMib(8_192)))
            .build());
    assertEquals(TestController.name("second"), worker.nextAssignment().getName());
  }

  @Test
  void afterARestartOfTheControllerANodeIsUnknownThenBackOrLost() {
    controller.join("a");
    controller.join("b");
    restart();
    assertEquals(Health.HEALTH_UNSPECIFIED, node("a").getStatus().getHealth());

    controller.join("a");
    controller.time.advance(Duration.ofSeconds(14));
    assertEquals(Health.READY, node("a").getStatus().getHealth());
    controller.time.advance(Duration.ofSeconds(1));
    assertEquals(Health.LOST, node("b").getStatus().getHealth());
  }

  // ---- whose node it is

  @Test
  void anotherWorkerIsRefusedWhileTheLeaseLasts() {
    controller.join("a");
    FakeWorker other = controller.dial().say(FakeWorker.hello("a").setNodeUid("other").build());

    assertRefused(
        ErrorReason.NODE_ID_TAKEN,
        () -> {
          throw Objects.requireNonNull(other.awaitEnd());
        });
  }

  @Test
  void anotherWorkerTakesOverAfterItAndWhatTheOldOneRanIsLost() {
    FakeWorker old = controller.join("a");
    running(old, "vm");
    old.close();
    controller.time.advance(PAST_LEASE);

    controller.join(FakeWorker.hello("a").setNodeUid("other"));
    awaitState("vm", MicroVmState.FAILED);
    assertEquals("", get("vm").getStatus().getNode());

    FakeWorker back = controller.dial().say(FakeWorker.hello("a").build());
    assertRefused(
        ErrorReason.NODE_ID_TAKEN,
        () -> {
          throw Objects.requireNonNull(back.awaitEnd());
        });
  }

  /** Else the node is ready for what is then taken for the old one's. */
  @Test
  void nobodysHeartbeatMakesANodeReadyWhileLossesAreRecorded() {
    Heartbeat heartbeat = Heartbeat.getDefaultInstance();
    controller.join("a");
    controller.time.advance(PAST_LEASE);
    controller.nodes.register(FakeWorker.hello("a").setNodeUid("other").build());

    assertFalse(controller.nodes.heartbeat("a", "uid-of-a", heartbeat));
    assertFalse(controller.nodes.heartbeat("a", "other", heartbeat));
    assertEquals(Health.LOST, controller.nodes.health("a"));

    controller.nodes.lossesRecorded("a");
    controller.time.advance(PAST_LEASE);
    assertFalse(controller.nodes.heartbeat("a", "uid-of-a", heartbeat));
    assertTrue(controller.nodes.heartbeat("a", "other", heartbeat));
    assertEquals(Health.READY, controller.nodes.health("a"));
  }

  @Test
  void whatTheOldOneRanIsLostThoughTheControllerDiesBeforeItHasWrittenThatDown() {
    running(controller.join("a"), "vm");
    controller.time.advance(PAST_LEASE);
    controller.nodes.register(FakeWorker.hello("a").setNodeUid("other").build());
    assertEquals(Health.LOST, controller.nodes.health("a"), "nothing new is placed there yet");

    restart();
    assertEquals(MicroVmState.RUNNING, state("vm"));
    FakeWorker other = controller.join(FakeWorker.hello("a").setNodeUid("other"));
    awaitState("vm", MicroVmState.FAILED);

    // Once only: what runs there now is its own.
    running(other, "next");
    other.close();
    controller.join(FakeWorker.hello("a").setNodeUid("other"));
    assertEquals(MicroVmState.RUNNING, state("next"));
  }

  @Test
  void aWorkerThatCallsAgainReplacesItsOwnSession() {
    FakeWorker first = controller.join("a");
    FakeWorker second = controller.join("a");

    assertRefused(
        ErrorReason.NODE_UNREACHABLE,
        () -> {
          throw Objects.requireNonNull(first.awaitEnd());
        });
    create(probe("vm"));
    second.nextAssignment();
  }

  @Test
  void whoWaitsForASessionIsNotGivenOneThatIsOver() {
    FakeWorker first = controller.join("a");
    WorkerSession present = controller.sessions.await("a", TestController.LEASE).join();
    first.close();
    await().until(() -> controller.sessions.find("a").isEmpty());

    CompletableFuture<WorkerSession> next = controller.sessions.await("a", TestController.LEASE);

    assertFalse(next.isDone());
    controller.join("a");
    assertNotSame(present, next.join());
  }

  @Test
  void aHelloThatIsNoneIsRefused() {
    for (Hello.Builder bad :
        List.of(FakeWorker.hello("Bad Id"), FakeWorker.hello("a").setNodeUid(""))) {
      FakeWorker worker = controller.dial().say(bad.build());
      assertEquals(Status.Code.INVALID_ARGUMENT, Status.fromThrowable(worker.awaitEnd()).getCode());
    }
  }

  // ---- what should run there

  @Test
  void aWorkerThatComesBackIsToldAllThatShouldRunThere() {
    FakeWorker worker = controller.join("a");
    Assignment one = running(worker, "one");
    worker.close();
    MicroVm two = create(probe("two"));
    assertEquals("nodes/a", two.getStatus().getNode(), "its lease lasts");

    FakeWorker again =
        controller.dial().say(FakeWorker.hello("a").addReports(FakeWorker.running(one)).build());
    Welcome welcome = again.next().getWelcome();

    assertEquals(
        List.of(one.getUid(), two.getMeta().getUid()),
        welcome.getAssignmentsList().stream().map(Assignment::getUid).toList());
    assertEquals(1, welcome.getAssignments(0).getAttempt());
    assertEquals(MicroVmState.RUNNING, state("one"));
  }

  @Test
  void soIsOneAfterARestartOfTheController() {
    FakeWorker worker = controller.join("a");
    Assignment assignment = running(worker, "vm");
    restart();

    FakeWorker again =
        controller
            .dial()
            .say(
                FakeWorker.hello("a")
                    .addReports(FakeWorker.running(assignment).setReady(true))
                    .build());
    assertEquals(assignment.getUid(), again.next().getWelcome().getAssignments(0).getUid());
    await()
        .until(() ->
            get("vm").getStatus().getConditionsList().stream()
                .anyMatch(c -> c.getType().equals("Ready") && c.getReason().equals("Ready")));
  }

  @Test
  void aStatusThatChangesIsNotTold() {
    FakeWorker worker = controller.join("a");
    Assignment assignment = running(worker, "vm");
    worker.report(FakeWorker.running(assignment).setReady(true));
    create(probe("next"));

    assertEquals(TestController.name("next"), worker.nextAssignment().getName());
  }

  // ---- the six outcomes

  @Test
  void aNodeThatRefusesForLackOfRoomLetsAnotherBeTried() {
    FakeWorker a = controller.join("a");
    FakeWorker b = controller.join("b");
    create(probe("vm"));
    Assignment first = a.nextAssignment();
    a.report(
        FakeWorker.about(first, Outcome.REJECTED)
            .setReason("NODE_RESOURCES_EXHAUSTED")
            .setMessage("no VMM to spare"));

    Assignment second = b.nextAssignment();
    assertEquals(first.getUid(), second.getUid());
    assertEquals(2, second.getAttempt());
    assertEquals(0, node("a").getStatus().getMicrovmCount());
    assertEquals(1, node("b").getStatus().getMicrovmCount());
  }

  @Test
  void whereThereIsNoOtherItIsTriedAgainAfterAWhile() {
    FakeWorker a = controller.join("a");
    create(probe("vm"));
    a.report(
        FakeWorker.about(a.nextAssignment(), Outcome.REJECTED)
            .setReason("KVM_UNAVAILABLE")
            .setMessage("no /dev/kvm"));
    await()
        .until(() -> get("vm").getStatus().getConditions(0).getMessage().contains("just refused"));
    assertEquals(MicroVmState.PENDING, state("vm"));

    controller.time.advance(Duration.ofSeconds(10));
    a.heartbeat();
    assertEquals(2, a.nextAssignment().getAttempt());
  }

  @Test
  void aLateReportOfAnOlderAttemptChangesNothing() {
    FakeWorker a = controller.join("a");
    FakeWorker b = controller.join("b");
    create(probe("vm"));
    Assignment first = a.nextAssignment();
    a.report(FakeWorker.about(first, Outcome.REJECTED).setReason("NODE_RESOURCES_EXHAUSTED"));
    Assignment second = b.nextAssignment();

    // Node a thinks again; it is told to let go.
    a.report(FakeWorker.running(first));
    assertEquals(first.getUid(), a.next().getDesiredChange().getRemove().getUid());
    assertEquals(MicroVmState.SCHEDULED, state("vm"));
    // So does a report of the right node about the wrong attempt.
    b.report(FakeWorker.running(first));
    b.report(FakeWorker.about(second, Outcome.FENCED));
    b.report(FakeWorker.running(second));
    awaitState("vm", MicroVmState.RUNNING);
    assertEquals(2, get("vm").getStatus().getAttempt());
  }

  @Test
  void whatOneNodeSaysDoesNotTakeThePlaceOfWhatAnotherSays() {
    FakeWorker a = controller.join("a");
    FakeWorker b = controller.join("b");
    create(probe("vm"));
    Assignment first = a.nextAssignment();
    a.report(FakeWorker.about(first, Outcome.REJECTED).setReason("NODE_RESOURCES_EXHAUSTED"));
    Assignment second = b.nextAssignment();

    // A word that waits a little to be written, and another's meanwhile.
    b.report(FakeWorker.about(second, Outcome.IN_PROGRESS).setState(MicroVmState.STARTING));
    a.report(FakeWorker.running(first));

    awaitState("vm", MicroVmState.STARTING);
  }

  @Test
  void whatNobodyKnowsIsRemoved() {
    FakeWorker worker = controller.join("a");
    worker.report(
        MicroVmReport.newBuilder()
            .setUid("stray")
            .setOutcome(Outcome.CREATED)
            .setState(MicroVmState.RUNNING));

    assertEquals("stray", worker.next().getDesiredChange().getRemove().getUid());
    assertTrue(controller.microVms.all().isEmpty());
  }

  @Test
  void aFailureAfterSideEffectsIsNotTriedElsewhere() {
    FakeWorker a = controller.join("a");
    controller.join("b");
    create(probe("vm"));
    a.report(
        FakeWorker.about(a.nextAssignment(), Outcome.FAILED_NEEDS_CLEANUP)
            .setState(MicroVmState.FAILED)
            .setReason("VMM_FAILED")
            .setMessage("exit status 1"));

    awaitState("vm", MicroVmState.FAILED);
    assertEquals("nodes/a", get("vm").getStatus().getNode());
  }

  @Test
  void aNodeThatDroppedWhatItShouldHaveIsToldAgain() {
    FakeWorker worker = controller.join("a");
    Assignment assignment = running(worker, "vm");
    worker.report(FakeWorker.removed(assignment.getUid()));

    assertEquals(assignment.getUid(), worker.nextAssignment().getUid());
  }
}
