package dev.vireo.controller.api;

import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.LateStore;
import dev.vireo.controller.testing.TestController;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.GetMicroVmRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.Quota;
import dev.vireo.proto.v1.QuotaSpec;
import dev.vireo.proto.v1.SetQuotaRequest;
import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Clock;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A create of which nobody knows whether it was done keeps what it was to have, until it is. */
class CommitInDoubtTest {
  @TempDir private Path directory;
  private LateStore store;
  private TestController controller;

  @BeforeEach
  void start() {
    store =
        new LateStore(
            SqliteStore.open(
                directory.resolve("vireo.db"), Clock.systemUTC(), new SimpleMeterRegistry()));
    controller = new TestController(store);
  }

  @AfterEach
  void stop() {
    controller.close();
    store.close();
  }

  @Test
  void itsRoomIsNotGivenToAnother() {
    FakeWorker worker = controller.join("a");
    store.loseNext(true);
    assertUnavailable(large("first"));

    create(large("second"));

    assertEquals("nodes/a", nodeOf("first"));
    assertEquals("", nodeOf("second"), "the node has room for one of them");
    assertEquals(name("first"), worker.nextAssignment().getName());
  }

  @Test
  void itsRoomIsAnothersOnceItIsKnownThatItWasNotDone() {
    FakeWorker worker = controller.join("a");
    store.loseNext(false);
    assertUnavailable(large("first"));

    create(large("second"));

    assertEquals(name("second"), worker.nextAssignment().getName());
    Awaitility.await().until(() -> nodeOf("second").equals("nodes/a"));
  }

  @Test
  void itsShareIsNotGivenToAnother() {
    allowOne();
    store.loseNext(true);
    assertUnavailable(probe("first"));

    ControllerTest.assertRefused(ErrorReason.QUOTA_EXCEEDED, () -> create(probe("second")));

    assertEquals(name("first"), get("first").getMeta().getName());
  }

  @Test
  void itsShareIsThereForWhoTriesAgain() {
    allowOne();
    store.loseNext(false);
    assertUnavailable(probe("first"));

    create(probe("first"));

    ControllerTest.assertRefused(ErrorReason.QUOTA_EXCEEDED, () -> create(probe("second")));
  }

  /** As SQLite's on a full disk: nothing was written, and there is nothing to find out. */
  @Test
  void whatSurelyFailedIsNotInDoubt() {
    allowOne();
    store.failNext();
    assertUnavailable(probe("first"));

    assertEquals(
        0, controller.quotas.view(controller.quotas.get("test")).getStatus().getMicrovms());
    assertFalse(controller.microVms.settleDoubts());
  }

  /** More than half of what a node has. */
  private static CreateMicroVmRequest large(String id) {
    return probe(id, spec -> spec.setMemoryMib(3_000));
  }

  private void allowOne() {
    Quota.Builder quota = Quota.newBuilder().setSpec(QuotaSpec.newBuilder().setMicrovms(1));
    quota.getMetaBuilder().setName("projects/test/quota");
    var _ = controller.quotaClient().setQuota(SetQuotaRequest.newBuilder().setQuota(quota).build());
  }

  private void assertUnavailable(CreateMicroVmRequest request) {
    StatusRuntimeException failed =
        assertThrows(StatusRuntimeException.class, () -> create(request));
    assertEquals(Code.UNAVAILABLE, failed.getStatus().getCode(), failed::toString);
  }

  private void create(CreateMicroVmRequest request) {
    var _ = controller.client().createMicroVm(request);
  }

  private MicroVm get(String id) {
    return controller.client().getMicroVm(GetMicroVmRequest.newBuilder().setName(name(id)).build());
  }

  private String nodeOf(String id) {
    return get(id).getStatus().getNode();
  }
}
