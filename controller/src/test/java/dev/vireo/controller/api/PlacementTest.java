package dev.vireo.controller.api;

import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.google.protobuf.FieldMask;
import dev.vireo.controller.lifecycle.ConditionType;
import dev.vireo.controller.lifecycle.Conditions;
import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.Condition;
import dev.vireo.proto.v1.ContainerImage;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.Drain;
import dev.vireo.proto.v1.ExplainPlacementRequest;
import dev.vireo.proto.v1.ExplainPlacementResponse;
import dev.vireo.proto.v1.GetNodeRequest;
import dev.vireo.proto.v1.LabelExpression;
import dev.vireo.proto.v1.LabelExpression.Operator;
import dev.vireo.proto.v1.Lifecycle.NodeLoss;
import dev.vireo.proto.v1.ListNodesRequest;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeSpec;
import dev.vireo.proto.v1.PeerTerm;
import dev.vireo.proto.v1.Placement;
import dev.vireo.proto.v1.PlacementCandidate;
import dev.vireo.proto.v1.Preemption;
import dev.vireo.proto.v1.Taint;
import dev.vireo.proto.v1.TaintEffect;
import dev.vireo.proto.v1.Toleration;
import dev.vireo.proto.v1.TopologySpread;
import dev.vireo.proto.v1.UpdateNodeRequest;
import dev.vireo.proto.v1.Vsock;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.Heartbeat;
import dev.vireo.proto.worker.v1.Hello;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import dev.vireo.proto.worker.v1.WorkerMessage;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** Where microVMs go by what their specs say of it. */
final class PlacementTest extends ControllerTest {
  // ---- nodes

  @Test
  void aMicroVmGoesWhereItsSpecRequires() {
    controller.join(FakeWorker.hello("a").putLabels("zone", "a"));
    controller.join(FakeWorker.hello("b").putLabels("zone", "b"));

    LabelExpression notA =
        LabelExpression.newBuilder()
            .setKey("zone")
            .setOperator(Operator.NOT_IN)
            .addValues("a")
            .build();
    assertEquals("nodes/b", nodeOf(placed("vm", p -> p.addNodeRequired(notA))));
    assertEquals(
        "nodes/b",
        nodeOf(
            placed("second", p -> p.addNodePreferredBuilder().setExpression(notA).setWeight(1))));
  }

  @Test
  void aTaintKeepsAwayAndOneToLeaveDrivesOutWhatDoesNotTolerateIt() {
    FakeWorker a = controller.join("a");
    Assignment tolerant =
        running(
            a, placed("tolerant", p -> p.addTolerations(Toleration.newBuilder().setKey("broken"))));
    Assignment other = running(a, "other");

    taint("a", TaintEffect.NO_SCHEDULE);
    assertEquals(MicroVmState.PENDING, create(probe("new")).getStatus().getState());
    assertTrue(a.hasHeardNothing());

    taint("a", TaintEffect.NO_EXECUTE);
    assertEquals(other.getUid(), a.next().getDesiredChange().getRemove().getUid());
    assertEquals("nodes/a is tainted broken:NoExecute", scheduled("other").getMessage());
    a.report(FakeWorker.about(other, Outcome.REMOVED));
    awaitState("other", MicroVmState.FAILED);
    assertEquals("nodes/a", get("tolerant").getStatus().getNode());
    assertEquals(1, tolerant.getAttempt());
  }

  @Test
  void aContainerGoesToTheNodeThatSaysItHasItsImage() {
    controller.join("a");
    FakeWorker b = controller.join(FakeWorker.hello("b").addContainerImages(image("tool:1", "1")));
    FakeWorker c = controller.join("c");
    assertEquals("nodes/b", nodeOf(container("first", "tool:1")));
    assertEquals("nodes/a", nodeOf(container("other", "tool:2")), "nobody has it");
    assertEquals(
        List.of("docker.io/library/tool:1"),
        node("b").getStatus().getContainerImages(0).getNamesList());
    assertTrue(
        controller
            .nodeClient()
            .listNodes(ListNodesRequest.getDefaultInstance())
            .getNodesList()
            .stream()
            .allMatch(each -> each.getStatus().getContainerImagesCount() == 0),
        "a page of nodes without them");

    String etag = node("c").getMeta().getEtag();
    c.say(heartbeat(image("tool:2", "2"), image("tool:1", "3")));
    await().until(() -> node("c").getStatus().getContainerImagesCount() == 2);
    assertEquals(etag, node("c").getMeta().getEtag(), "a pull is no write");
    assertEquals("nodes/c", nodeOf(container("second", "docker.io/library/tool:2")));
    assertEquals(
        List.of("nodes/c"),
        explain("second").getCandidatesList().stream()
            .filter(PlacementCandidate::getHasContainerImage)
            .map(PlacementCandidate::getNode)
            .toList());
    assertEquals("nodes/b", nodeOf(container("by-id", "sha256:" + "1".repeat(64))));

    b.say(heartbeat());
    await().until(() -> node("b").getStatus().getContainerImagesCount() == 0);
    assertEquals("nodes/c", nodeOf(container("third", "tool:1")), "it is gone from b");
  }

  @Test
  void theNodeThatHasTheImageIsNotAskedAgainIfItRefuses() {
    FakeWorker a = controller.join(FakeWorker.hello("a").addContainerImages(image("tool:1", "1")));
    FakeWorker b = controller.join("b");
    create(container("vm", "tool:1"));
    a.report(
        FakeWorker.about(a.nextAssignment(), Outcome.REJECTED)
            .setReason(ErrorReason.CONTAINER_IMAGE_UNAVAILABLE.name())
            .setMessage("it was removed, and its registry is away"));
    assertEquals(name("vm"), b.nextAssignment().getName());
  }

  @Test
  void aControllerThatBeginsKnowsOfImagesOnceTheirNodesSayHello() {
    Hello.Builder hello = FakeWorker.hello("b").addContainerImages(image("tool:1", "1"));
    controller.join(hello);
    restart();
    assertEquals(0, node("b").getStatus().getContainerImagesCount());
    controller.join("a");
    controller.join(hello);
    assertEquals("nodes/b", nodeOf(container("vm", "tool:1")));
  }

  // ---- other microVMs

  @Test
  void microVmsAreKeptApartTogetherAndEven() {
    for (String id : List.of("a1", "a2", "b1")) {
      controller.join(FakeWorker.hello(id).putLabels("zone", id.substring(0, 1)));
    }
    PeerTerm byNode = PeerTerm.newBuilder().putLabels("app", "web").setTopologyKey("node").build();
    Set<String> nodes =
        List.of("w1", "w2", "w3").stream()
            .map(id -> nodeOf(placed(id, "web", p -> p.addAntiAffinity(byNode))))
            .collect(Collectors.toSet());
    assertEquals(Set.of("nodes/a1", "nodes/a2", "nodes/b1"), nodes);
    create(placed("w4", "web", p -> p.addAntiAffinity(byNode)));
    assertEquals(
        "0 of 3 nodes: 3 have microVMs to be apart from (by node)", scheduled("w4").getMessage());

    TopologySpread spread =
        TopologySpread.newBuilder()
            .putLabels("app", "job")
            .setTopologyKey("zone")
            .setMaxSkew(1)
            .build();
    List<String> zones =
        List.of("j1", "j2", "j3", "j4").stream()
            .map(id -> nodeOf(placed(id, "job", p -> p.addSpread(spread))).substring(6, 7))
            .sorted()
            .toList();
    assertEquals(List.of("a", "a", "b", "b"), zones);

    PeerTerm byZone =
        PeerTerm.newBuilder().putLabels("app", "cache").setTopologyKey("zone").build();
    String first = nodeOf(placed("c1", "cache", p -> p.addAffinity(byZone)));
    String second = nodeOf(placed("c2", "cache", p -> p.addAffinity(byZone)));
    assertEquals(first.charAt(6), second.charAt(6));
  }

  @Test
  void whatIsWrongWithAPlacementIsSaidByFieldAllOfIt() {
    var refused =
        assertRefused(
            ErrorReason.FIELD_INVALID,
            () ->
                create(
                    placed(
                        "vm",
                        p -> {
                          p.addNodeRequiredBuilder().setKey("k").setOperator(Operator.IN);
                          p.addNodePreferredBuilder()
                              .setWeight(101)
                              .getExpressionBuilder()
                              .setKey("k")
                              .setOperator(Operator.EXISTS)
                              .addValues("v");
                          p.addTolerationsBuilder().setKey("a b");
                          p.addAffinityBuilder().setTopologyKey("zone");
                          p.addAntiAffinityBuilder().putLabels("a", "b");
                          p.addSpreadBuilder().putLabels("a", "b").setTopologyKey("zone");
                          p.setPriority(1_001);
                          p.getGangBuilder().setName("G").setSize(1);
                        })));
    assertEquals(
        Set.of(
            "spec.placement.node_required[0].values",
            "spec.placement.node_preferred[0].expression.values",
            "spec.placement.node_preferred[0].weight",
            "spec.placement.tolerations[0].key",
            "spec.placement.affinity[0].labels",
            "spec.placement.anti_affinity[0].topology_key",
            "spec.placement.spread[0].max_skew",
            "spec.placement.priority",
            "spec.placement.gang.name",
            "spec.placement.gang.size"),
        SpecValidatorTest.fields(refused).keySet());
  }

  // ---- priority

  @Test
  void theLessImportantLeaveForTheMoreImportantAndTheirRoomIsKept() {
    FakeWorker a = controller.join("a");
    Assignment first = running(a, sized("first", 1_024, p -> p.setPriority(-1)));
    Assignment second = running(a, sized("second", 2_048, p -> p.setPriority(-2)));
    running(a, sized("stays", 1_024, p -> {}));

    create(sized("important", 3_072, p -> p.setPriority(10)));

    String oneUid = a.next().getDesiredChange().getRemove().getUid();
    String otherUid = a.next().getDesiredChange().getRemove().getUid();
    assertEquals(Set.of(first.getUid(), second.getUid()), Set.of(oneUid, otherUid));
    assertEquals("for a microVM of priority 10", scheduled("first").getMessage());
    a.report(FakeWorker.about(first, Outcome.REMOVED));
    awaitState("first", MicroVmState.FAILED);
    assertEquals("Preempted", scheduled("first").getReason());
    assertEquals("", nodeOf(sized("thief", 1_024, p -> {})));

    a.report(FakeWorker.about(second, Outcome.REMOVED));
    assertEquals(name("important"), a.nextAssignment().getName());
    assertEquals(MicroVmState.PENDING, state("thief"));
    assertEquals(MicroVmState.RUNNING, state("stays"));
  }

  @Test
  void oneThatPreemptsNeverWaits() {
    FakeWorker a = controller.join("a");
    running(a, sized("vm", 4_096, p -> p.setPriority(-1)));

    create(sized("polite", 2_048, p -> p.setPriority(10).setPreemption(Preemption.PREEMPT_NEVER)));
    create(sized("rude", 1_024, p -> p.setPriority(9)));

    await().until(() -> scheduled("vm").getMessage().equals("for a microVM of priority 9"));
    assertEquals(MicroVmState.PENDING, state("polite"));
  }

  @Test
  void whileSomeAreOnTheirWayNobodyElseIsAskedToLeave() {
    FakeWorker a = controller.join("a");
    running(a, sized("leaves", 4_096, p -> {}));
    FakeWorker b = controller.join(FakeWorker.hello("b").putLabels("zone", "b"));
    running(b, sized("lesser", 4_032, p -> p.setPriority(-5)));
    update("b", NodeSpec.newBuilder().setCordoned(true), "spec.cordoned");
    create(sized("important", 4_096, p -> p.setPriority(1)));
    assertTrue(a.next().getDesiredChange().hasRemove());

    // Node b would do, and what runs there matters less; "small" is placed after a look at that.
    create(sized("small", 64, p -> p.putNodeSelector("zone", "b")));
    update("b", NodeSpec.newBuilder(), "spec.cordoned");
    await().until(() -> !nodeOf("small").isEmpty());

    assertEquals(MicroVmState.RUNNING, state("lesser"));
  }

  // ---- gangs

  @Test
  void aGangIsPlacedOnceItIsWholeAndHasRoomForAll() {
    FakeWorker a = controller.join("a");
    create(sized("g1", 2_048, PlacementTest::gangOfThree));
    create(sized("g2", 2_048, PlacementTest::gangOfThree));
    assertEquals("WaitingForGang", scheduled("g1").getReason());
    create(sized("g3", 2_048, PlacementTest::gangOfThree));
    create(sized("other", 1_024, p -> {}));
    assertEquals(name("other"), a.nextAssignment().getName());
    assertTrue(a.hasHeardNothing());

    controller.join("b");

    await().until(() -> List.of("g1", "g2", "g3").stream().noneMatch(id -> nodeOf(id).isEmpty()));
    assertEquals(
        1,
        List.of("g1", "g2", "g3").stream()
            .map(id -> get(id).getMeta().getResourceVersion())
            .distinct()
            .count(),
        "one commit for all");
  }

  @Test
  void aGangThatIsLargerThanACommitIsRefusedToTheMemberThatMakesItSo() {
    for (String id : List.of("g1", "g2", "g3", "g4")) {
      create(oneOfFive(id, 260_000));
    }

    var refused = assertRefused(ErrorReason.FIELD_INVALID, () -> create(oneOfFive("g5", 260_000)));
    assertTrue(SpecValidatorTest.fields(refused).containsKey("spec.placement.gang.size"));
    assertRefused(ErrorReason.MICROVM_ALREADY_EXISTS, () -> create(oneOfFive("g4", 260_000)));
    create(oneOfFive("g4", 260_000).toBuilder().setParent("projects/other").build());

    create(oneOfFive("g5", 1_000));
    controller.join("a");
    await().until(() -> nodeOf("g5").equals("nodes/a"));
    create(oneOfFive("g6", 260_000));
  }

  @Test
  void aGangIsAsLargeAsItsMembersAreNotAsIfAllWereAsItsLargest() {
    for (int i = 0; i < 16; i++) {
      CreateMicroVmRequest.Builder member =
          sized("g" + i, 64, p -> p.getGangBuilder().setName("g").setSize(16)).toBuilder();
      member
          .getMicrovmBuilder()
          .getSpecBuilder()
          .setVsock(Vsock.getDefaultInstance())
          .getMetadataBuilder()
          .setUserData(ByteString.copyFrom(new byte[i == 0 ? 64 << 10 : 0]));
      create(member.build());
    }
    controller.join("a");

    await().until(() -> nodeOf("g0").equals("nodes/a") && nodeOf("g15").equals("nodes/a"));
  }

  @Test
  void oneThatIsPlacedAgainDoesNotWaitForThoseThatHaveEnded() {
    FakeWorker a = controller.join("a");
    for (String id : List.of("g1", "g2", "g3")) {
      create(sized(id, 64, PlacementTest::gangOfThree));
    }
    Assignment first = a.nextAssignment();
    Assignment second = a.nextAssignment();
    a.report(FakeWorker.running(first).setState(MicroVmState.STOPPED));
    awaitState(id(first), MicroVmState.STOPPED);
    FakeWorker b = controller.join("b");

    a.report(
        FakeWorker.about(second, Outcome.REJECTED)
            .setReason(ErrorReason.NODE_RESOURCES_EXHAUSTED.name()));

    assertEquals(second.getUid(), b.nextAssignment().getUid());
  }

  @Test
  void oneThatHasLostItsNodeDoesNotWaitForOneThatHasNeverHadAny() {
    FakeWorker a = controller.join("a");
    controller.join("b");
    create(oneOfTwo("g1"));
    create(oneOfTwo("g2"));
    Assignment displaced = a.nextAssignment();
    create(sized("g3", 64, p -> gangOfTwo(p.putNodeSelector("zone", "none"))));
    update("a", NodeSpec.newBuilder().setDrain(Drain.getDefaultInstance()), "spec.drain");
    assertTrue(a.next().getDesiredChange().hasRemove());
    a.report(FakeWorker.about(displaced, Outcome.REMOVED));
    awaitState(id(displaced), MicroVmState.PENDING);

    FakeWorker c = controller.join("c");

    assertEquals(displaced.getUid(), c.nextAssignment().getUid());
    assertEquals(MicroVmState.PENDING, state("g3"));
  }

  @Test
  void ofTwoThatHaveLostTheirNodesTheOneRunsForWhichThereIsRoom() {
    FakeWorker a = controller.join("a");
    FakeWorker b = controller.join("b");
    create(oneOfTwo("g1"));
    create(oneOfTwo("g2"));
    for (FakeWorker worker : List.of(a, b)) {
      Assignment displaced = worker.nextAssignment();
      String node = worker == a ? "a" : "b";
      update(node, NodeSpec.newBuilder().setDrain(Drain.getDefaultInstance()), "spec.drain");
      assertTrue(worker.next().getDesiredChange().hasRemove());
      worker.report(FakeWorker.about(displaced, Outcome.REMOVED));
      awaitState(id(displaced), MicroVmState.PENDING);
    }

    controller.join("c");

    await().until(() -> List.of(nodeOf("g1"), nodeOf("g2")).contains("nodes/c"));
    controller.time.advance(Duration.ofSeconds(5)); // When it is told why.
    String waits = nodeOf("g1").isEmpty() ? "g1" : "g2";
    await().until(() -> scheduled(waits).getReason().equals("Unschedulable"));
    assertTrue(scheduled(waits).getMessage().startsWith("0 of 3 nodes: "));
  }

  private static String id(Assignment assignment) {
    return assignment.getName().substring(assignment.getName().lastIndexOf('/') + 1);
  }

  // ---- explain

  @Test
  void anExplanationSaysWhoRefusesWhyAndWhatWouldHelp() {
    controller.join("a");
    controller.join(FakeWorker.hello("b").putLabels("zone", "b"));
    CreateMicroVmRequest inZone = sized("vm", 64, p -> p.putNodeSelector("zone", "b"));
    create(inZone);

    ExplainPlacementResponse explained = explain("vm");
    assertEquals(2, explained.getNodes());
    assertEquals(1, explained.getSuitableNodes());
    assertEquals("nodes/b", explained.getCandidates(0).getNode());
    assertEquals(1, explained.getCandidatesCount());
    assertEquals("nodes/b", explained.getMicrovm().getStatus().getNode());
    var refusal = explained.getRefusals(0);
    assertEquals("LabelMissing", refusal.getReason());
    assertEquals("nodes/a", refusal.getExampleNode());
    assertEquals("is not labelled zone=b", refusal.getMessage());
    assertTrue(refusal.getRemedy().contains("vireo node label NODE zone=b"));

    create(sized("large", 4_096, p -> p.putNodeSelector("zone", "b")));
    explained = explain("large");
    assertEquals(0, explained.getSuitableNodes());
    assertEquals("LacksMemory", explained.getRefusals(1).getReason());
    assertFalse(explained.getMicrovm().getStatus().getNode().startsWith("nodes/"));
    assertRefused(ErrorReason.MICROVM_NOT_FOUND, () -> explain("none"));
  }

  // ---- words

  private static void gangOfThree(Placement.Builder placement) {
    placement.getGangBuilder().setName("g").setSize(3);
  }

  private static void gangOfTwo(Placement.Builder placement) {
    placement.getGangBuilder().setName("g").setSize(2);
  }

  private static CreateMicroVmRequest oneOfFive(String id, int annotationBytes) {
    CreateMicroVmRequest.Builder request =
        sized(id, 64, p -> p.getGangBuilder().setName("g").setSize(5)).toBuilder();
    request.getMicrovmBuilder().getMetaBuilder().putAnnotations("k", "x".repeat(annotationBytes));
    return request.build();
  }

  /** Of more than half of what a node has; goes elsewhere if it loses its own. */
  private static CreateMicroVmRequest oneOfTwo(String id) {
    CreateMicroVmRequest.Builder request = sized(id, 3_000, PlacementTest::gangOfTwo).toBuilder();
    request
        .getMicrovmBuilder()
        .getSpecBuilder()
        .getLifecycleBuilder()
        .setOnNodeLoss(NodeLoss.NODE_LOSS_RESCHEDULE);
    return request.build();
  }

  private ExplainPlacementResponse explain(String id) {
    return controller
        .client()
        .explainPlacement(ExplainPlacementRequest.newBuilder().setName(name(id)).build());
  }

  private static CreateMicroVmRequest container(String id, String image) {
    return probe(
        id,
        spec -> {
          spec.getBootBuilder().clearKernel();
          spec.setMemoryMib(128).getContainerBuilder().setImage(image);
          return spec;
        });
  }

  private static ContainerImage image(String name, String digit) {
    return ContainerImage.newBuilder()
        .setId("sha256:" + digit.repeat(64))
        .addNames("docker.io/library/" + name)
        .build();
  }

  private static WorkerMessage heartbeat(ContainerImage... images) {
    Heartbeat.Builder heartbeat = Heartbeat.newBuilder();
    heartbeat.getContainerImagesBuilder().addAllImages(List.of(images));
    return WorkerMessage.newBuilder().setHeartbeat(heartbeat).build();
  }

  private Node node(String id) {
    return controller
        .nodeClient()
        .getNode(GetNodeRequest.newBuilder().setName("nodes/" + id).build());
  }

  private void taint(String id, TaintEffect effect) {
    update(
        id,
        NodeSpec.newBuilder().addTaints(Taint.newBuilder().setKey("broken").setEffect(effect)),
        "spec.taints");
  }

  private void update(String id, NodeSpec.Builder spec, String path) {
    Node.Builder node = Node.newBuilder().setSpec(spec);
    node.getMetaBuilder().setName("nodes/" + id);
    var _ =
        controller
            .nodeClient()
            .updateNode(
                UpdateNodeRequest.newBuilder()
                    .setNode(node)
                    .setUpdateMask(FieldMask.newBuilder().addPaths(path))
                    .build());
  }

  private Condition scheduled(String id) {
    return Conditions.find(get(id), ConditionType.SCHEDULED).orElseThrow();
  }

  private String nodeOf(CreateMicroVmRequest request) {
    return create(request).getStatus().getNode();
  }

  private String nodeOf(String id) {
    return get(id).getStatus().getNode();
  }

  private static CreateMicroVmRequest placed(String id, Consumer<Placement.Builder> placement) {
    return sized(id, 64, placement);
  }

  private static CreateMicroVmRequest placed(
      String id, String app, Consumer<Placement.Builder> placement) {
    CreateMicroVmRequest.Builder request = placed(id, placement).toBuilder();
    request.getMicrovmBuilder().getMetaBuilder().putLabels("app", app);
    return request.build();
  }

  private static CreateMicroVmRequest sized(
      String id, long memoryMib, Consumer<Placement.Builder> placement) {
    return probe(
        id,
        spec -> {
          placement.accept(spec.setMemoryMib(memoryMib).getPlacementBuilder());
          return spec;
        });
  }
}
