package dev.vireo.controller.api;

import static dev.vireo.controller.testing.TestController.DELETE_GRACE;
import static dev.vireo.controller.testing.TestController.LEASE;
import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.proto.store.v1.TombstoneRecord;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.FenceNodeRequest;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.SteerMicroVmRequest;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.Hello;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import dev.vireo.proto.worker.v1.Removal;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Deletions that end though the node is gone, and what happens when it comes back. */
final class DeleteWithoutNodeTest extends ControllerTest {
  private static final Duration ROUNDS = Duration.ofMillis(700);

  @Test
  void itEndsWhenTheNodeHasBeenLostForTheGrace() throws InterruptedException {
    Assignment assignment = deletedOnLostNode("vm");

    controller.time.advance(LEASE.plus(DELETE_GRACE).minusMillis(1));
    Thread.sleep(ROUNDS);
    assertTrue(exists("vm"));
    assertEquals(1, gauge("vireo.deletions"));
    assertEquals(0, gauge("vireo.tombstones"));
    controller.time.advance(Duration.ofMillis(1));
    awaitGone("vm");
    assertEquals(0, gauge("vireo.deletions"));
    assertEquals(1, gauge("vireo.tombstones"));

    TombstoneRecord tombstone = controller.tombstones.find(assignment.getUid()).orElseThrow();
    assertEquals(name("vm"), tombstone.getName());
    assertEquals("a", tombstone.getNodeId());
    assertEquals(assignment.getAttempt(), tombstone.getAttempt());
    create(probe("vm"));
    assertEquals(MicroVmState.PENDING, state("vm"), "the name is free");
  }

  @Test
  void aNodeThatComesBackRemovesWhatItStillRuns() {
    Assignment assignment = buriedOnLostNode("vm");
    restart();

    FakeWorker back = comesBackWith(assignment);
    assertEquals(0, back.next().getWelcome().getAssignmentsCount());
    Removal removal = back.next().getDesiredChange().getRemove();
    assertEquals(assignment.getUid(), removal.getUid());
    assertTrue(removal.getForce());
    back.report(FakeWorker.about(assignment, Outcome.IN_PROGRESS));
    assertEquals(1, controller.tombstones.size(), "until it has done so");

    back.report(FakeWorker.about(assignment, Outcome.REMOVED));
    await().until(controller.tombstones::isEmpty);
  }

  @Test
  void aNodeThatComesBackWithNothingOfItSaysSo() {
    Assignment assignment = buriedOnLostNode("vm");

    FakeWorker back = controller.join("a");
    assertEquals(assignment.getUid(), back.next().getDesiredChange().getRemove().getUid());
    back.report(FakeWorker.removed(assignment.getUid()));

    await().until(controller.tombstones::isEmpty);
  }

  @Test
  void anAnswerOfAnEarlierAttemptOrOfAnotherNodeIsNoEnd() throws InterruptedException {
    FakeWorker a = controller.join("a");
    Assignment first = running(a, "vm");
    a.report(FakeWorker.about(first, Outcome.CREATED).setState(MicroVmState.STOPPED));
    awaitState("vm", MicroVmState.STOPPED);
    var _ =
        controller
            .client()
            .startMicroVm(SteerMicroVmRequest.newBuilder().setName(name("vm")).build());
    Assignment second = a.nextAssignment();
    delete("vm");
    assertEquals(second.getAttempt(), a.next().getDesiredChange().getRemove().getAttempt());

    for (Outcome outcome : List.of(Outcome.REMOVED, Outcome.REJECTED)) {
      a.report(FakeWorker.about(first, outcome));
      Thread.sleep(ROUNDS);
      assertTrue(exists("vm"), "the second attempt may still run");
    }

    a.close();
    controller.time.advance(LEASE.plus(DELETE_GRACE));
    awaitGone("vm");
    FakeWorker b = controller.join("b");
    b.report(FakeWorker.about(second, Outcome.REMOVED));
    FakeWorker back = comesBackWith(second);
    back.report(FakeWorker.about(first, Outcome.REMOVED));
    Thread.sleep(ROUNDS);
    assertEquals(1, controller.tombstones.size());
    back.report(FakeWorker.about(second, Outcome.REMOVED));
    await().until(controller.tombstones::isEmpty);
  }

  @Test
  void aNodeThatIsThereAndDoesNotAnswerIsAskedAgainAndWaitedFor() throws InterruptedException {
    FakeWorker a = controller.join("a");
    running(a, "vm");
    delete("vm");
    for (int i = 0; i < 50; i++) {
      controller.time.advance(LEASE.dividedBy(2));
      a.heartbeat();
      await().until(() -> !controller.nodes.isLostFor("a", Duration.ZERO));
    }
    Thread.sleep(ROUNDS);

    assertTrue(exists("vm"));
  }

  @Test
  void aTombstoneGoesWithItsNode() {
    buriedOnLostNode("fenced");
    var _ =
        controller.nodeClient().fenceNode(FenceNodeRequest.newBuilder().setName("nodes/a").build());
    await().until(controller.tombstones::isEmpty);

    FakeWorker a = controller.join("a");
    running(a, "replaced");
    delete("replaced");
    a.close();
    controller.time.advance(LEASE.plus(DELETE_GRACE));
    await().until(() -> controller.tombstones.size() == 1);
    controller.join(FakeWorker.hello("a").setNodeUid("of another machine"));
    await().until(controller.tombstones::isEmpty);
  }

  // ---- words

  private double gauge(String name) {
    return controller.meters.get(name).gauge().value();
  }

  private Assignment deletedOnLostNode(String id) {
    FakeWorker a = controller.join("a");
    Assignment assignment = running(a, id);
    a.close();
    await().until(() -> controller.sessions.find("a").isEmpty());
    delete(id);
    return assignment;
  }

  private Assignment buriedOnLostNode(String id) {
    Assignment assignment = deletedOnLostNode(id);
    controller.time.advance(LEASE.plus(DELETE_GRACE));
    awaitGone(id);
    return assignment;
  }

  private FakeWorker comesBackWith(Assignment running) {
    Hello.Builder hello = FakeWorker.hello("a").addReports(FakeWorker.running(running));
    return controller.dial().say(hello.build());
  }

  private void delete(String id) {
    var _ =
        controller
            .client()
            .deleteMicroVm(DeleteMicroVmRequest.newBuilder().setName(name(id)).build());
  }
}
