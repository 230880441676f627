package dev.vireo.controller.api;

import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Duration;
import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.ConsolePort;
import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.DesiredState;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.ResizeConsoleRequest;
import dev.vireo.proto.v1.SteerMicroVmRequest;
import dev.vireo.proto.v1.Termination;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import dev.vireo.proto.worker.v1.Removal;
import org.junit.jupiter.api.Test;

final class DeleteAndSteerTest extends ControllerTest {
  private MicroVm delete(DeleteMicroVmRequest.Builder request) {
    return controller.client().deleteMicroVm(request.build());
  }

  private static DeleteMicroVmRequest.Builder deletion(String id) {
    return DeleteMicroVmRequest.newBuilder().setName(name(id));
  }

  private static SteerMicroVmRequest steer(String id) {
    return SteerMicroVmRequest.newBuilder().setName(name(id)).build();
  }

  // ---- delete

  @Test
  void itIsGoneWhenItsNodeHasLetGoAndNotBefore() {
    FakeWorker worker = controller.join("a");
    Assignment assignment = running(worker, "vm");

    MicroVm deleting = delete(deletion("vm"));
    assertEquals(MicroVmState.DELETING, deleting.getStatus().getState());
    assertTrue(deleting.getMeta().hasDeleteTime());
    Removal removal = worker.next().getDesiredChange().getRemove();
    assertEquals(assignment.getUid(), removal.getUid());
    assertFalse(removal.getForce());
    assertTrue(exists("vm"));

    worker.report(FakeWorker.removed(assignment.getUid()));
    awaitGone("vm");
    create(probe("vm"));
  }

  @Test
  void whatHasNoNodeIsGoneAtOnce() {
    create(probe("vm"));

    assertEquals(MicroVmState.DELETING, delete(deletion("vm")).getStatus().getState());
    assertFalse(exists("vm"));
  }

  @Test
  void forceIsPassedOnAlsoAfterwards() {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");
    delete(deletion("vm"));
    assertFalse(worker.next().getDesiredChange().getRemove().getForce());

    delete(deletion("vm").setForce(true));
    assertTrue(worker.next().getDesiredChange().getRemove().getForce());
  }

  @Test
  void whatIsMissingIsAnErrorUnlessItMayBe() {
    assertRefused(ErrorReason.MICROVM_NOT_FOUND, () -> delete(deletion("vm")));
    assertEquals(name("vm"), delete(deletion("vm").setAllowMissing(true)).getMeta().getName());
    assertRefused(ErrorReason.FIELD_INVALID, () -> delete(deletion("vm").setName("microvms/vm")));
    assertRefused(ErrorReason.FIELD_REQUIRED, () -> delete(deletion("vm").setName("")));
  }

  @Test
  void anOldEtagIsRefusedAndThePresentOneIsNot() {
    FakeWorker worker = controller.join("a");
    MicroVm created = create(probe("vm"));
    worker.report(FakeWorker.running(worker.nextAssignment()));
    awaitState("vm", MicroVmState.RUNNING);

    assertRefused(
        ErrorReason.ETAG_MISMATCH,
        () -> delete(deletion("vm").setEtag(created.getMeta().getEtag())));
    assertRefused(
        ErrorReason.ETAG_MISMATCH,
        () -> controller.client().stopMicroVm(steer("vm").toBuilder().setEtag("other").build()));
    assertEquals(MicroVmState.RUNNING, state("vm"));
    delete(deletion("vm").setEtag(get("vm").getMeta().getEtag()));
    assertEquals(MicroVmState.DELETING, state("vm"));
  }

  @Test
  void aNodeThatComesBackWithoutItHasLetGo() {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");
    worker.close();
    delete(deletion("vm"));
    assertEquals(MicroVmState.DELETING, state("vm"));

    controller.join("a");
    awaitGone("vm");
  }

  @Test
  void aNodeThatComesBackWithItIsToldToLetGo() {
    FakeWorker worker = controller.join("a");
    Assignment assignment = running(worker, "vm");
    worker.close();
    delete(deletion("vm").setForce(true));

    FakeWorker again =
        controller
            .dial()
            .say(FakeWorker.hello("a").addReports(FakeWorker.running(assignment)).build());
    assertEquals(0, again.next().getWelcome().getAssignmentsCount());
    Removal removal = again.next().getDesiredChange().getRemove();
    assertEquals(assignment.getUid(), removal.getUid());
    assertTrue(removal.getForce(), "force outlives the session");
    assertTrue(exists("vm"));
    again.report(FakeWorker.removed(assignment.getUid()));
    awaitGone("vm");
  }

  @Test
  void aLifeEndsAfterItsTimeToLive() {
    FakeWorker worker = controller.join("a");
    create(
        probe(
            "vm",
            spec -> {
              spec.getLifecycleBuilder().setTtl(Duration.newBuilder().setSeconds(60));
              return spec;
            }));
    Assignment assignment = worker.nextAssignment();
    worker.report(FakeWorker.running(assignment));
    awaitState("vm", MicroVmState.RUNNING);

    controller.time.advance(java.time.Duration.ofSeconds(59));
    worker.heartbeat();
    controller.time.advance(java.time.Duration.ofSeconds(1));
    assertEquals(assignment.getUid(), worker.next().getDesiredChange().getRemove().getUid());
    worker.report(FakeWorker.removed(assignment.getUid()));
    awaitGone("vm");
  }

  // ---- stop, start, pause, resume

  @Test
  void itIsStoppedAndStartedAgainAsANewAttempt() {
    FakeWorker worker = controller.join("a");
    Assignment first = running(worker, "vm");

    MicroVm stopping = controller.client().stopMicroVm(steer("vm"));
    assertEquals(MicroVmState.STOPPING, stopping.getStatus().getState());
    Assignment stop = worker.nextAssignment();
    assertEquals(DesiredState.DESIRED_STOPPED, stop.getSpec().getDesiredState());
    assertEquals(first.getAttempt(), stop.getAttempt());
    assertEquals(2, stop.getGeneration());
    worker.report(stopped(stop));
    awaitState("vm", MicroVmState.STOPPED);
    assertEquals(0, allocatedMib());

    MicroVm again = controller.client().startMicroVm(steer("vm"));
    assertEquals(MicroVmState.SCHEDULED, again.getStatus().getState());
    assertEquals(64, allocatedMib());
    Assignment start = worker.nextAssignment();
    assertEquals(2, start.getAttempt());
    assertEquals(DesiredState.DESIRED_RUNNING, start.getSpec().getDesiredState());

    // A late word about the first attempt changes nothing.
    worker.report(stopped(stop));
    worker.report(FakeWorker.running(start));
    awaitState("vm", MicroVmState.RUNNING);
  }

  @Test
  void aStartNeedsRoom() {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");
    controller.client().stopMicroVm(steer("vm"));
    worker.report(stopped(worker.nextAssignment()));
    awaitState("vm", MicroVmState.STOPPED);
    create(probe("other", spec -> spec.setMemoryMib(4_096)));

    assertRefused(
        ErrorReason.NODE_RESOURCES_EXHAUSTED, () -> controller.client().startMicroVm(steer("vm")));
    assertEquals(MicroVmState.STOPPED, state("vm"));
    assertEquals(4_096, allocatedMib());
  }

  @Test
  void itIsPausedAndResumed() {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");

    controller.client().pauseMicroVm(steer("vm"));
    Assignment pause = worker.nextAssignment();
    assertEquals(DesiredState.DESIRED_PAUSED, pause.getSpec().getDesiredState());
    worker.report(FakeWorker.running(pause).setState(MicroVmState.PAUSED));
    awaitState("vm", MicroVmState.PAUSED);
    assertRefused(ErrorReason.STATE_CONFLICT, () -> controller.client().startMicroVm(steer("vm")));

    controller.client().resumeMicroVm(steer("vm"));
    Assignment resume = worker.nextAssignment();
    assertEquals(DesiredState.DESIRED_RUNNING, resume.getSpec().getDesiredState());
    worker.report(FakeWorker.running(resume));
    awaitState("vm", MicroVmState.RUNNING);
    assertEquals(3, get("vm").getStatus().getObservedGeneration());
  }

  @Test
  void whatAStateDoesNotAllowIsRefusedAndChangesNothing() {
    MicroVm pending = create(probe("vm"));

    assertRefused(ErrorReason.STATE_CONFLICT, () -> controller.client().pauseMicroVm(steer("vm")));
    assertRefused(ErrorReason.STATE_CONFLICT, () -> controller.client().resumeMicroVm(steer("vm")));
    assertEquals(pending, get("vm"));
    assertRefused(
        ErrorReason.MICROVM_NOT_FOUND, () -> controller.client().stopMicroVm(steer("none")));
    FakeWorker worker = controller.join("a");
    worker.nextAssignment();
    delete(deletion("vm"));
    assertRefused(ErrorReason.STATE_CONFLICT, () -> controller.client().startMicroVm(steer("vm")));
  }

  @Test
  void theSameVerbTwiceIsOne() {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");

    MicroVm once = controller.client().stopMicroVm(steer("vm"));
    assertEquals(once, controller.client().stopMicroVm(steer("vm")));
    worker.nextAssignment();
    assertTrue(worker.hasHeardNothing());
  }

  @Test
  void whatWaitsForANodeIsStoppedAndStartedWithoutOne() {
    create(probe("vm"));

    assertEquals(
        MicroVmState.STOPPED, controller.client().stopMicroVm(steer("vm")).getStatus().getState());
    FakeWorker worker = controller.join("a");
    await().during(java.time.Duration.ofMillis(300)).until(worker::hasHeardNothing);
    assertEquals("nodes/a", controller.client().startMicroVm(steer("vm")).getStatus().getNode());
    worker.nextAssignment();
  }

  // ---- resize

  private static ResizeConsoleRequest resize(String port, int columns, int rows) {
    return ResizeConsoleRequest.newBuilder()
        .setName(steer("vm").getName())
        .setPort(port)
        .setSize(ConsoleSize.newBuilder().setColumns(columns).setRows(rows))
        .build();
  }

  private FakeWorker withConsoles() {
    FakeWorker worker = controller.join("a");
    create(
        probe(
            "vm",
            spec -> {
              spec.getVirtioConsoleBuilder()
                  .addPorts(ConsolePort.newBuilder().setName("hvc0").setConsole(true))
                  .addPorts(ConsolePort.newBuilder().setName("pipe"))
                  .addPorts(ConsolePort.newBuilder().setName("hvc1").setConsole(true));
              return spec;
            }));
    worker.report(FakeWorker.running(worker.nextAssignment()));
    awaitState("vm", MicroVmState.RUNNING);
    return worker;
  }

  @Test
  void aConsoleIsResizedWhereItRuns() {
    FakeWorker worker = withConsoles();

    MicroVm resized = controller.client().resizeConsole(resize("hvc1", 132, 43));
    assertEquals(2, resized.getMeta().getGeneration());
    Assignment assignment = worker.nextAssignment();
    assertEquals(1, assignment.getAttempt());
    assertEquals(2, assignment.getGeneration());
    assertEquals(
        resize("", 132, 43).getSize(),
        assignment.getSpec().getVirtioConsole().getPorts(2).getSize());

    controller.client().resizeConsole(resize("", 80, 25));
    assertTrue(
        worker.nextAssignment().getSpec().getVirtioConsole().getPorts(0).hasSize(),
        "the first, where none is named");
    assertEquals(
        3, controller.client().resizeConsole(resize("", 80, 25)).getMeta().getGeneration());
    assertTrue(worker.hasHeardNothing(), "of the size that it has");
  }

  @Test
  void whatIsNoConsoleIsNotResized() {
    withConsoles();

    assertRefused(
        ErrorReason.FIELD_INVALID, () -> controller.client().resizeConsole(resize("pipe", 80, 25)));
    assertRefused(
        ErrorReason.FIELD_INVALID, () -> controller.client().resizeConsole(resize("none", 80, 25)));
    assertRefused(
        ErrorReason.FIELD_INVALID, () -> controller.client().resizeConsole(resize("hvc0", 0, 25)));
    assertRefused(
        ErrorReason.ETAG_MISMATCH,
        () ->
            controller
                .client()
                .resizeConsole(resize("hvc0", 80, 25).toBuilder().setEtag("other").build()));
    delete(deletion("vm"));
    assertRefused(
        ErrorReason.STATE_CONFLICT,
        () -> controller.client().resizeConsole(resize("hvc0", 80, 25)));
  }

  private static dev.vireo.proto.worker.v1.MicroVmReport.Builder stopped(Assignment assignment) {
    return FakeWorker.about(assignment, Outcome.CREATED)
        .setState(MicroVmState.STOPPED)
        .setTermination(Termination.newBuilder().setCause(Termination.Cause.STOPPED_BY_REQUEST));
  }

  private long allocatedMib() {
    return controller
        .nodeClient()
        .getNode(dev.vireo.proto.v1.GetNodeRequest.newBuilder().setName("nodes/a").build())
        .getStatus()
        .getAllocated()
        .getMemoryMib();
  }
}
