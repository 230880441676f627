package dev.vireo.controller.api;

import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.store.Write;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.HeldStore;
import dev.vireo.controller.testing.TestController;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.GetMicroVmRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.SteerMicroVmRequest;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import io.grpc.StatusRuntimeException;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Clock;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A create that takes its microVM back while somebody else has a use for it. */
final class TakeBackTest {
  @TempDir private Path directory;

  @Test
  void oneThatIsStartedMeanwhileStays() {
    try (HeldStore store =
            new HeldStore(
                SqliteStore.open(
                    directory.resolve("vireo.db"), Clock.systemUTC(), new SimpleMeterRegistry()));
        TestController controller = new TestController(store)) {
      FakeWorker worker = controller.join("a");
      CreateMicroVmRequest request =
          probe("vm").toBuilder().setRequestId(UUID.randomUUID().toString()).build();
      String uid = controller.client().createMicroVm(request).getMeta().getUid();
      reject(worker, worker.nextAssignment());
      await().until(() -> state(controller) == MicroVmState.FAILED);
      store.holdNext(writes -> writes.stream().anyMatch(Write.Delete.class::isInstance));
      CompletableFuture<MicroVm> retry =
          CompletableFuture.supplyAsync(
              () ->
                  controller
                      .client()
                      .createMicroVm(request.toBuilder().setWait(Wait.WAIT_RUNNING).build()),
              Thread::startVirtualThread);
      await().until(store::holds);

      try {
        var _ =
            controller
                .client()
                .startMicroVm(SteerMicroVmRequest.newBuilder().setName(name("vm")).build());
      } finally {
        store.release();
      }

      Throwable refused =
          assertInstanceOf(
              StatusRuntimeException.class,
              assertThrows(CompletionException.class, retry::join).getCause());
      assertEquals(Optional.of(ErrorReason.DISK_NOT_FOUND), Errors.reasonOf(refused));
      assertEquals(MicroVmState.SCHEDULED, state(controller));
      assertEquals(uid, controller.client().createMicroVm(request).getMeta().getUid());
    }
  }

  private static void reject(FakeWorker worker, Assignment assignment) {
    worker.report(
        FakeWorker.about(assignment, Outcome.REJECTED)
            .setState(MicroVmState.FAILED)
            .setReason(ErrorReason.DISK_NOT_FOUND.name())
            .setField("disks[0].source")
            .setMessage("it is wrong"));
  }

  private static MicroVmState state(TestController controller) {
    return controller
        .client()
        .getMicroVm(GetMicroVmRequest.newBuilder().setName(name("vm")).build())
        .getStatus()
        .getState();
  }
}
