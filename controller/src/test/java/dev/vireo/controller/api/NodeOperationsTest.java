package dev.vireo.controller.api;

import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.FieldMask;
import dev.vireo.controller.lifecycle.ConditionType;
import dev.vireo.controller.lifecycle.Conditions;
import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.TestController;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.Condition;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.Drain;
import dev.vireo.proto.v1.FenceNodeRequest;
import dev.vireo.proto.v1.GetNodeRequest;
import dev.vireo.proto.v1.Lifecycle.NodeLoss;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeSpec;
import dev.vireo.proto.v1.NodeStatus.Health;
import dev.vireo.proto.v1.SteerMicroVmRequest;
import dev.vireo.proto.v1.UpdateNodeRequest;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import dev.vireo.proto.worker.v1.Removal;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** What operators do to nodes, and what becomes of the microVMs there. */
final class NodeOperationsTest extends ControllerTest {
  private static final NodeSpec DRAINED =
      NodeSpec.newBuilder().setDrain(Drain.getDefaultInstance()).build();
  private static final Duration PAST_LEASE = TestController.LEASE.plusMillis(1);

  // ---- what is wanted of a node

  @Test
  void aCordonedNodeGetsNothingNewUntilItIsUncordoned() {
    FakeWorker worker = controller.join("a");
    Node cordoned = update("a", NodeSpec.newBuilder().setCordoned(true).build(), "spec.cordoned");
    assertTrue(cordoned.getSpec().getCordoned());
    assertEquals(2, cordoned.getMeta().getGeneration());

    assertEquals(MicroVmState.PENDING, create(probe("vm")).getStatus().getState());
    assertEquals("0 of 1 node: 1 is cordoned", scheduled("vm").getMessage());

    update("a", NodeSpec.getDefaultInstance(), "spec.cordoned");
    assertEquals(name("vm"), worker.nextAssignment().getName());
  }

  @Test
  void whatIsWantedOutlivesARestartAndTheNodesHello() {
    controller.join("a");
    update(
        "a",
        NodeSpec.newBuilder().setCordoned(true).putLabels("zone", "mine").build(),
        "spec.cordoned",
        "spec.labels");
    restart();
    controller.join(FakeWorker.hello("a").putLabels("zone", "worker's").putLabels("disk", "ssd"));

    assertTrue(node("a").getSpec().getCordoned());
    assertEquals(Map.of("zone", "mine", "disk", "ssd"), node("a").getMeta().getLabelsMap());

    update("a", NodeSpec.getDefaultInstance(), "spec.labels");
    assertEquals(Map.of("zone", "worker's", "disk", "ssd"), node("a").getMeta().getLabelsMap());
  }

  @Test
  void anOperatorsLabelIsOneToSelectBy() {
    controller.join("a");
    CreateMicroVmRequest wantsZone =
        probe(
            "vm",
            spec -> {
              spec.getPlacementBuilder().putNodeSelector("zone", "b");
              return spec;
            });
    assertEquals(MicroVmState.PENDING, create(wantsZone).getStatus().getState());

    update("a", NodeSpec.newBuilder().putLabels("zone", "b").build(), "spec.labels");

    awaitState("vm", MicroVmState.SCHEDULED);
  }

  @Test
  void anUpdateChangesWhatItsMaskNamesAndNothingTwice() {
    controller.join("a");
    update("a", NodeSpec.newBuilder().putLabels("k", "v").build(), "spec.labels");
    Node cordoned = update("a", NodeSpec.newBuilder().setCordoned(true).build(), "spec.cordoned");
    assertEquals(Map.of("k", "v"), cordoned.getSpec().getLabelsMap());

    Node again = update("a", NodeSpec.newBuilder().setCordoned(true).build(), "spec.cordoned");
    assertEquals(cordoned.getMeta(), again.getMeta());
  }

  @Test
  void aWrongUpdateIsRefusedByName() {
    controller.join("a");
    String etag = node("a").getMeta().getEtag();
    update("a", NodeSpec.newBuilder().setCordoned(true).build(), "spec.cordoned");

    assertRefused(ErrorReason.FIELD_REQUIRED, () -> update("a", DRAINED));
    assertRefused(ErrorReason.FIELD_INVALID, () -> update("a", DRAINED, "spec.drain", "status"));
    assertRefused(
        ErrorReason.FIELD_INVALID,
        () -> update("a", NodeSpec.newBuilder().putLabels("k v", "").build(), "spec.labels"));
    assertRefused(ErrorReason.NODE_NOT_FOUND, () -> update("b", DRAINED, "spec.drain"));
    assertRefused(
        ErrorReason.ETAG_MISMATCH,
        () ->
            controller
                .nodeClient()
                .updateNode(request("a", DRAINED, "spec.drain").toBuilder().setEtag(etag).build()));
    assertFalse(node("a").getSpec().hasDrain());
  }

  @Test
  void aLabelSaysHowMuchMoreOfANodeIsPromisedThanItHas() {
    FakeWorker a = controller.join("a");
    create(probe("first", spec -> spec.setMemoryMib(4_000)));
    assertEquals(4_096, a.nextAssignment().getPromisable().getMemoryMib());
    create(probe("second", spec -> spec.setMemoryMib(2_000)));
    assertEquals(MicroVmState.PENDING, state("second"));

    Node labelled =
        update(
            "a",
            NodeSpec.newBuilder()
                .putLabels("vireo.dev/memory-overcommit", "1.5")
                .putLabels("vireo.dev/cpu-overcommit", "0.5")
                .build(),
            "spec.labels");

    assertEquals(6_144, labelled.getStatus().getPromisable().getMemoryMib());
    assertEquals(8_000, labelled.getStatus().getPromisable().getCpuMilli());
    assertEquals(4_096, labelled.getStatus().getCapacity().getMemoryMib());
    assertEquals(6_144, a.nextAssignment().getPromisable().getMemoryMib());
  }

  @Test
  void aRatioThatIsNoneIsRefusedFromAnOperatorAndNotHeardFromAWorker() {
    controller.join(FakeWorker.hello("a").putLabels("vireo.dev/memory-overcommit", "much"));
    assertEquals(4_096, node("a").getStatus().getPromisable().getMemoryMib());

    for (String wrong : List.of("", "0", "0.05", "101", "1e3", "-1", "two")) {
      NodeSpec spec = NodeSpec.newBuilder().putLabels("vireo.dev/cpu-overcommit", wrong).build();
      assertRefused(ErrorReason.FIELD_INVALID, () -> update("a", spec, "spec.labels"));
    }
  }

  // ---- drain

  @Test
  void aDrainedMicroVmBeginsAnewElsewhereOnceItsNodeHasLetGo() {
    FakeWorker a = controller.join("a");
    Assignment first = running(a, rescheduled("vm"));
    FakeWorker b = controller.join("b");

    update("a", DRAINED, "spec.drain");

    Removal removal = a.next().getDesiredChange().getRemove();
    assertEquals(first.getUid(), removal.getUid());
    assertEquals(first.getAttempt(), removal.getAttempt());
    assertFalse(removal.getForce());
    assertEquals(MicroVmState.STOPPING, state("vm"));
    assertEquals("nodes/a is drained", scheduled("vm").getMessage());
    assertEquals(1, node("a").getStatus().getLeavingMicrovms());
    a.report(FakeWorker.about(first, Outcome.CREATED).setState(MicroVmState.STOPPED));
    assertEquals("nodes/a", get("vm").getStatus().getNode(), "it is not gone yet");
    assertTrue(b.hasHeardNothing());

    a.report(FakeWorker.about(first, Outcome.REMOVED));

    Assignment second = b.nextAssignment();
    assertEquals(first.getUid(), second.getUid());
    assertEquals(first.getAttempt() + 1, second.getAttempt());
    assertEquals(0, node("a").getStatus().getAssignedMicrovms());
    assertEquals(0, node("a").getStatus().getAllocated().getMemoryMib());
    b.report(FakeWorker.running(second));
    awaitState("vm", MicroVmState.RUNNING);
  }

  @Test
  void anyOtherFailsAndCanBeStartedByHand() {
    FakeWorker a = controller.join("a");
    Assignment assignment = running(a, "vm");
    update("a", DRAINED, "spec.drain");
    assertTrue(a.next().getDesiredChange().hasRemove());
    assertRefused(ErrorReason.STATE_CONFLICT, () -> start("vm"));

    a.report(FakeWorker.about(assignment, Outcome.REMOVED));

    awaitState("vm", MicroVmState.FAILED);
    assertEquals("", get("vm").getStatus().getNode());
    assertEquals(
        "Drained", Conditions.find(get("vm"), ConditionType.FINISHED).orElseThrow().getReason());
    FakeWorker b = controller.join("b");
    start("vm");
    assertEquals(assignment.getAttempt() + 1, b.nextAssignment().getAttempt());
  }

  @Test
  void whatHadEndedLeavesAndStaysWhatItWas() {
    FakeWorker a = controller.join("a");
    Assignment assignment = running(a, rescheduled("vm"));
    a.report(FakeWorker.about(assignment, Outcome.CREATED).setState(MicroVmState.STOPPED));
    awaitState("vm", MicroVmState.STOPPED);
    update("a", DRAINED, "spec.drain");
    assertTrue(a.next().getDesiredChange().hasRemove());

    a.report(FakeWorker.about(assignment, Outcome.REMOVED));

    await().until(() -> get("vm").getStatus().getNode().isEmpty());
    assertEquals(MicroVmState.STOPPED, state("vm"));
  }

  @Test
  void theYoungestLeaveFirstAFewAtATime() {
    FakeWorker a = controller.join("a");
    for (int i = 0; i < 10; i++) {
      running(a, "vm" + i);
    }
    update("a", DRAINED, "spec.drain");

    Set<String> first = new HashSet<>();
    for (int i = 0; i < 8; i++) {
      first.add(a.next().getDesiredChange().getRemove().getUid());
    }
    await().until(() -> node("a").getStatus().getLeavingMicrovms() == 8);
    assertFalse(first.contains(get("vm0").getMeta().getUid()));
    assertFalse(first.contains(get("vm1").getMeta().getUid()));

    a.report(removed("vm9"));

    assertEquals(get("vm1").getMeta().getUid(), a.next().getDesiredChange().getRemove().getUid());
  }

  @Test
  void aDrainGoesOnAfterARestartOfTheController() {
    FakeWorker a = controller.join("a");
    Assignment assignment = running(a, rescheduled("vm"));
    update("a", DRAINED, "spec.drain");
    assertTrue(a.next().getDesiredChange().hasRemove());
    restart();

    FakeWorker again =
        controller
            .dial()
            .say(FakeWorker.hello("a").addReports(FakeWorker.running(assignment)).build());
    assertEquals(List.of(), again.next().getWelcome().getAssignmentsList());
    assertEquals(assignment.getUid(), again.next().getDesiredChange().getRemove().getUid());
    again.report(FakeWorker.about(assignment, Outcome.REMOVED));
    awaitState("vm", MicroVmState.PENDING);
  }

  @Test
  void anAnswerToAnEarlierRemovalIsNotTakenForThisOnes() {
    FakeWorker a = controller.join("a");
    Assignment first = running(a, rescheduled("vm"));
    update("a", DRAINED, "spec.drain");
    assertTrue(a.next().getDesiredChange().hasRemove());
    a.report(FakeWorker.about(first, Outcome.REMOVED));
    awaitState("vm", MicroVmState.PENDING);
    update("a", NodeSpec.getDefaultInstance(), "spec.drain");
    Assignment second = a.nextAssignment();
    a.report(FakeWorker.running(second));
    awaitState("vm", MicroVmState.RUNNING);
    update("a", DRAINED, "spec.drain");
    assertEquals(second.getAttempt(), a.next().getDesiredChange().getRemove().getAttempt());

    long handled = reportsHandled();
    a.report(FakeWorker.about(first, Outcome.REMOVED));
    await().until(() -> reportsHandled() > handled);

    assertEquals("nodes/a", get("vm").getStatus().getNode());
    a.report(FakeWorker.about(second, Outcome.REMOVED));
    awaitState("vm", MicroVmState.PENDING);
  }

  @Test
  void aForcedDrainAsksNoGuestAlsoOfThoseThatAreLeavingAlready() {
    FakeWorker a = controller.join("a");
    running(a, "vm");
    update("a", DRAINED, "spec.drain");
    assertFalse(a.next().getDesiredChange().getRemove().getForce());

    update(
        "a",
        NodeSpec.newBuilder().setDrain(Drain.newBuilder().setForce(true)).build(),
        "spec.drain");

    assertTrue(a.next().getDesiredChange().getRemove().getForce());
  }

  @Test
  void aDeleteOfWhatIsLeavingDeletesIt() {
    FakeWorker a = controller.join("a");
    Assignment assignment = running(a, rescheduled("vm"));
    update("a", DRAINED, "spec.drain");
    assertTrue(a.next().getDesiredChange().hasRemove());

    var _ =
        controller
            .client()
            .deleteMicroVm(DeleteMicroVmRequest.newBuilder().setName(name("vm")).build());
    a.report(FakeWorker.about(assignment, Outcome.REMOVED));

    awaitGone("vm");
  }

  // ---- fence

  @Test
  void aNodeThatIsNotLostIsNotFenced() {
    controller.join("a");

    assertRefused(ErrorReason.NODE_NOT_LOST, () -> fence("a"));
    assertRefused(ErrorReason.NODE_NOT_FOUND, () -> fence("b"));
  }

  @Test
  void whatAFencedNodeRanGoesElsewhereOrFailsAndDeletesEnd() {
    FakeWorker a = controller.join("a");
    Assignment moved = running(a, rescheduled("moved"));
    running(a, "lost");
    running(a, "deleted");
    var _ =
        controller
            .client()
            .deleteMicroVm(DeleteMicroVmRequest.newBuilder().setName(name("deleted")).build());
    FakeWorker b = controller.join("b");
    controller.time.advance(PAST_LEASE);
    b.heartbeat();
    await().until(() -> node("b").getStatus().getHealth() == Health.READY);
    assertEquals("nodes/a", get("moved").getStatus().getNode(), "a time-out never reassigns");

    fence("a");

    Assignment again = b.nextAssignment();
    assertEquals(moved.getUid(), again.getUid());
    assertEquals(moved.getAttempt() + 1, again.getAttempt());
    awaitState("lost", MicroVmState.FAILED);
    assertEquals(
        "NodeFenced",
        Conditions.find(get("lost"), ConditionType.FINISHED).orElseThrow().getReason());
    awaitGone("deleted");
    assertEquals(0, node("a").getStatus().getAssignedMicrovms());
  }

  @Test
  void aFencedNodeThatComesBackHasToLetGo() {
    FakeWorker a = controller.join("a");
    Assignment moved = running(a, rescheduled("vm"));
    a.close();
    controller.time.advance(PAST_LEASE);
    fence("a");
    awaitState("vm", MicroVmState.PENDING);

    FakeWorker back =
        controller.dial().say(FakeWorker.hello("a").addReports(FakeWorker.running(moved)).build());

    assertEquals(List.of(), back.next().getWelcome().getAssignmentsList());
    Set<String> told = new HashSet<>();
    for (int i = 0; i < 2; i++) {
      var change = back.next().getDesiredChange();
      told.add(
          change.hasRemove()
              ? "remove " + change.getRemove().getUid()
              : "attempt " + change.getUpsert().getAttempt());
    }
    assertEquals(Set.of("remove " + moved.getUid(), "attempt " + (moved.getAttempt() + 1)), told);
  }

  // ---- words

  private Node node(String id) {
    return controller
        .nodeClient()
        .getNode(GetNodeRequest.newBuilder().setName("nodes/" + id).build());
  }

  private Node update(String id, NodeSpec spec, String... paths) {
    return controller.nodeClient().updateNode(request(id, spec, paths));
  }

  private static UpdateNodeRequest request(String id, NodeSpec spec, String... paths) {
    Node.Builder node = Node.newBuilder().setSpec(spec);
    node.getMetaBuilder().setName("nodes/" + id);
    return UpdateNodeRequest.newBuilder()
        .setNode(node)
        .setUpdateMask(FieldMask.newBuilder().addAllPaths(List.of(paths)))
        .build();
  }

  private Node fence(String id) {
    return controller
        .nodeClient()
        .fenceNode(FenceNodeRequest.newBuilder().setName("nodes/" + id).build());
  }

  private void start(String id) {
    var _ =
        controller
            .client()
            .startMicroVm(SteerMicroVmRequest.newBuilder().setName(name(id)).build());
  }

  private static CreateMicroVmRequest rescheduled(String id) {
    return probe(
        id,
        spec -> {
          spec.getLifecycleBuilder().setOnNodeLoss(NodeLoss.NODE_LOSS_RESCHEDULE);
          return spec;
        });
  }

  private Condition scheduled(String id) {
    return Conditions.find(get(id), ConditionType.SCHEDULED).orElseThrow();
  }

  private long reportsHandled() {
    return controller.meters.timer("vireo.reconcile.report").count();
  }

  private MicroVmReport.Builder removed(String id) {
    return FakeWorker.removed(get(id).getMeta().getUid())
        .setAttempt(get(id).getStatus().getAttempt());
  }
}
