package dev.vireo.controller.reconcile;

import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.Write;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.TestController;
import dev.vireo.proto.store.v1.MicroVmRecord;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.FenceNodeRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.NodeStatus.Health;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.Removal;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Function;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** MicroVMs whose record is as much as a commit takes, such as an earlier release let in. */
class LargeRecordsTest {
  private static final String KEY = "microvms/test/large";
  private static final MicroVmSpec SPEC =
      MicroVmSpec.newBuilder().setVcpus(1).setMemoryMib(64).build();

  private final Heard heard = new Heard();
  private final Logger logger = Logger.getLogger(Apart.class.getName());
  @TempDir private Path directory;
  private SqliteStore sqlite;

  private static final class Heard extends Handler {
    final List<LogRecord> records = new CopyOnWriteArrayList<>();

    @Override
    public void publish(LogRecord record) {
      records.add(record);
    }

    @Override
    public void flush() {}

    @Override
    public void close() {}
  }

  @BeforeEach
  void open() {
    logger.addHandler(heard);
    sqlite =
        SqliteStore.open(
            directory.resolve("vireo.db"), Clock.systemUTC(), new SimpleMeterRegistry());
  }

  @AfterEach
  void close() {
    sqlite.close();
    logger.removeHandler(heard);
  }

  @Test
  void oneThatCannotBeChangedHoldsUpNobodyAndIsToldOfOnce() {
    MicroVmSpec.Builder due = SPEC.toBuilder();
    due.getLifecycleBuilder().getTtlBuilder().setSeconds(1);
    store(text -> created(due.build(), text, ""));
    try (TestController controller = new TestController(sqlite)) {
      var _ = controller.client().createMicroVm(probe("first"));
      controller.join("a");
      await().until(() -> find(controller, "first").getStatus().getNode().equals("nodes/a"));

      double rounds = rounds(controller);
      await().until(() -> rounds(controller) > rounds + 2);

      assertEquals(1, heard.records.size());
    }
  }

  @Test
  void whatANodeSaysOfOneThatCannotBeChangedIsNotTriedForEver() {
    store(text -> created(SPEC, text, ""));
    try (TestController controller = new TestController(sqlite)) {
      FakeWorker worker = controller.dial().say(FakeWorker.hello("elsewhere").build());
      Assignment assignment = worker.next().getWelcome().getAssignments(0);

      worker.report(FakeWorker.running(assignment));

      await().until(() -> heard.records.size() == 1);
      await().until(() -> controller.meters.get("vireo.reconcile.reports").gauge().value() == 0);
    }
  }

  @Test
  void oneThatCannotBeChangedHoldsUpNoneThatIsLostWithItsNode() {
    store(text -> created(SPEC, text, ""));
    try (TestController controller = new TestController(sqlite)) {
      controller.join("elsewhere");
      placeFirst(controller);
      controller.time.advance(TestController.LEASE.plusMillis(1));

      var _ =
          controller
              .nodeClient()
              .fenceNode(FenceNodeRequest.newBuilder().setName("nodes/elsewhere").build());

      await().until(() -> !controller.nodes.isFenced("elsewhere"));
      assertEquals(MicroVmState.FAILED, find(controller, "first").getStatus().getState());
    }
  }

  @Test
  void oneThatCannotBeChangedKeepsNoWorkerFromTakingOver() {
    store(text -> created(SPEC, text, ""));
    try (TestController controller = new TestController(sqlite)) {
      controller.join("elsewhere");
      placeFirst(controller);
      controller.time.advance(TestController.LEASE.plusMillis(1));

      controller.join(FakeWorker.hello("elsewhere").setNodeUid("other"));

      assertEquals(MicroVmState.FAILED, find(controller, "first").getStatus().getState());
      assertEquals(Health.READY, controller.nodes.health("elsewhere"));
    }
  }

  private static void placeFirst(TestController controller) {
    var _ = controller.client().createMicroVm(probe("first"));
    await().until(() -> find(controller, "first").getStatus().getNode().equals("nodes/elsewhere"));
  }

  @Test
  void oneIsDeletedOnceItsNodeHasLetGo() {
    store(text -> created(SPEC, "", text));
    try (TestController controller = new TestController(sqlite)) {
      FakeWorker worker = controller.dial().say(FakeWorker.hello("elsewhere").build());
      Assignment assignment = worker.next().getWelcome().getAssignments(0);

      MicroVm deleting =
          controller
              .client()
              .deleteMicroVm(DeleteMicroVmRequest.newBuilder().setName(name("large")).build());

      assertEquals(MicroVmState.DELETING, deleting.getStatus().getState());
      assertEquals(64, deleting.getSpec().getMemoryMib());
      Removal removal = worker.next().getDesiredChange().getRemove();
      assertEquals(assignment.getUid(), removal.getUid());
      worker.report(FakeWorker.removed("uid").setAttempt(removal.getAttempt()));
      await().until(() -> controller.microVms.findByUid("uid").isEmpty());
    }
  }

  @Test
  void oneWhoseTimeIsOverIsDeletedToo() {
    MicroVmSpec.Builder due = SPEC.toBuilder();
    due.getLifecycleBuilder().getTtlBuilder().setSeconds(1);
    store(text -> {
      due.getContainerBuilder().putEnvironment("k", text);
      return created(due.build(), "", "");
    });
    try (TestController controller = new TestController(sqlite)) {
      await()
          .until(() -> find(controller, "large").getStatus().getState() == MicroVmState.DELETING);
    }
  }

  private static double rounds(TestController controller) {
    return controller.meters.get("vireo.reconcile.round").timer().count();
  }

  private static MicroVm find(TestController controller, String id) {
    return controller.microVms.all().stream()
        .map(microVm -> microVm.microVm())
        .filter(microVm -> microVm.getMeta().getName().equals(name(id)))
        .findFirst()
        .orElseThrow();
  }

  /** One that has a node. */
  private static MicroVmRecord created(MicroVmSpec spec, String label, String annotation) {
    return Lifecycle.assigned(
        Lifecycle.created(
            name("large"), "uid", spec, Map.of("k", label), Map.of("k", annotation), Instant.EPOCH),
        "elsewhere",
        Instant.EPOCH);
  }

  /**
   * Stores a record of just as many bytes as a commit takes.
   *
   * @param of which is so much longer as its text is
   */
  private void store(Function<String, MicroVmRecord> of) {
    int most = Store.MAX_COMMIT_BYTES - KEY.length();
    int left = most - 1024;
    MicroVmRecord record = of.apply("x".repeat(left));
    while (record.getSerializedSize() != most) {
      left += most - record.getSerializedSize();
      record = of.apply("x".repeat(left));
    }
    sqlite.commit(List.of(new Write.Put(KEY, Write.ABSENT, record.toByteString()))).join();
  }
}
