package dev.vireo.controller.reconcile;

import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import dev.vireo.controller.placement.Placer;
import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.HeldStore;
import dev.vireo.controller.testing.LateStore;
import dev.vireo.controller.testing.TestController;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.GetMicroVmRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.NodeStatus;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import dev.vireo.scheduler.Decision;
import dev.vireo.scheduler.Profile;
import dev.vireo.scheduler.Scheduler;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Clock;
import java.util.Set;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A microVM that is placed again keeps the room that its record still speaks of. */
class PlacementAgainTest {
  @TempDir private Path directory;
  private SqliteStore sqlite;

  @BeforeEach
  void open() {
    sqlite =
        SqliteStore.open(
            directory.resolve("vireo.db"), Clock.systemUTC(), new SimpleMeterRegistry());
  }

  @Test
  void theRoomOnANodeThatRefusesItIsFreeOnceThatIsDurable() {
    try (HeldStore store = new HeldStore(sqlite);
        TestController controller = new TestController(store)) {
      FakeWorker a = controller.join("a");
      create(controller, "first");
      controller.join("b");
      store.holdNext();
      a.report(
          FakeWorker.about(a.nextAssignment(), Outcome.REJECTED)
              .setReason("NODE_RESOURCES_EXHAUSTED"));
      Awaitility.await().until(store::holds);

      try {
        create(controller, "second");

        assertEquals("nodes/a", nodeOf(controller, "first"));
        assertEquals("nodes/b", nodeOf(controller, "second"));
      } finally {
        store.release();
      }
      Awaitility.await().until(() -> nodeOf(controller, "first").isEmpty());
    }
  }

  @Test
  void oneThatMayHaveANodeIsGivenNoOther() {
    try (LateStore store = new LateStore(sqlite);
        TestController controller = new TestController(store)) {
      create(controller, "first");
      String uid = get(controller, "first").getMeta().getUid();
      store.fallSilentAt("/first");
      controller.join("a");
      Awaitility.await().until(() -> controller.microVms.isInDoubt(uid));
      double decisions = placed(controller);

      controller.reconciler.round(true);

      assertEquals(decisions, placed(controller));
      store.answerAgain();
      controller.reconciler.round(true);
      assertEquals("nodes/a", nodeOf(controller, "first"));
    }
  }

  /** As the thread of a create that is pending, or of a report, which come to their end late. */
  @Test
  void whatOneHasReservedIsNotGivenBackByAnother() throws InterruptedException {
    try (SqliteStore store = sqlite;
        TestController controller = new TestController(store)) {
      create(controller, "first");
      create(controller, "second");
      MicroVm first = get(controller, "first");
      MicroVm second = get(controller, "second");
      Placer placer = placer(controller);
      controller.stopReconciler();
      controller.join("a");
      assertInstanceOf(Decision.Placed.class, placer.place(first, Set.of()));

      Thread.ofVirtual().start(() -> placer.settle(first.getMeta().getUid())).join();

      assertInstanceOf(Decision.Unplaceable.class, placer.place(second, Set.of()));
      placer.settle(first.getMeta().getUid());
      assertInstanceOf(Decision.Placed.class, placer.place(second, Set.of()));
    }
  }

  @Test
  void anExplanationOfOneThatIsGoneMeanwhileClaimsNothing() {
    try (SqliteStore store = sqlite;
        TestController controller = new TestController(store)) {
      FakeWorker a = controller.join("a");
      create(controller, "first");
      MicroVm first = get(controller, "first");
      Placer placer = placer(controller);
      delete(controller, "first");
      a.report(FakeWorker.removed(first.getMeta().getUid()));
      // The books follow the image.
      Awaitility.await().until(() -> viewOf(controller, placer).getAllocated().getMemoryMib() == 0);

      var _ = placer.explain(first, Set.of());

      assertEquals(0, viewOf(controller, placer).getMicrovmCount());
      assertEquals(0, viewOf(controller, placer).getAllocated().getMemoryMib());
    }
  }

  @Test
  void oneThatCouldNotBeToldToLeaveIsToldAgain() {
    try (LateStore store = new LateStore(sqlite);
        TestController controller = new TestController(store)) {
      controller.join("a");
      create(controller, "victim");
      controller.stopReconciler();
      CreateMicroVmRequest.Builder important = large("important").toBuilder();
      important.getMicrovmBuilder().getSpecBuilder().getPlacementBuilder().setPriority(10);
      var _ = controller.client().createMicroVm(important.build());

      store.failNext();
      controller.reconciler.round(true);
      MicroVmState atFirst = get(controller, "victim").getStatus().getState();
      controller.reconciler.round(true);

      assertEquals(MicroVmState.SCHEDULED, atFirst);
      assertEquals(MicroVmState.STOPPING, get(controller, "victim").getStatus().getState());
    }
  }

  private static double placed(TestController controller) {
    return controller
        .meters
        .get("vireo.placement.decisions")
        .tag("outcome", "placed")
        .counter()
        .count();
  }

  /** Of more than half of what a node has. */
  private static void create(TestController controller, String id) {
    var _ = controller.client().createMicroVm(large(id));
  }

  private static CreateMicroVmRequest large(String id) {
    return probe(id, spec -> spec.setMemoryMib(3_000));
  }

  private static void delete(TestController controller, String id) {
    var _ =
        controller
            .client()
            .deleteMicroVm(DeleteMicroVmRequest.newBuilder().setName(name(id)).build());
  }

  private static MicroVm get(TestController controller, String id) {
    return controller.client().getMicroVm(GetMicroVmRequest.newBuilder().setName(name(id)).build());
  }

  private static String nodeOf(TestController controller, String id) {
    return get(controller, id).getStatus().getNode();
  }

  private static NodeStatus viewOf(TestController controller, Placer placer) {
    return placer.view(controller.nodes.find("a").orElseThrow()).getStatus();
  }

  /** Another than the controller's, with books of its own. */
  private static Placer placer(TestController controller) {
    return new Placer(
        controller.microVms,
        controller.nodes,
        Scheduler.standard(Profile.LEAST_ALLOCATED),
        new SimpleMeterRegistry());
  }
}
