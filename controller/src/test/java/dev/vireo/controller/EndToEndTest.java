package dev.vireo.controller;

import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.TestController;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.GetMicroVmRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.worker.v1.Assignment;
import io.grpc.StatusRuntimeException;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Clock;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The backbone's story: a client, a controller, a worker. */
final class EndToEndTest {
  private SqliteStore store;
  private TestController controller;

  @BeforeEach
  void start(@TempDir Path directory) {
    store =
        SqliteStore.open(
            directory.resolve("vireo.db"), Clock.systemUTC(), new SimpleMeterRegistry());
    controller = new TestController(store);
  }

  @AfterEach
  void stop() {
    controller.close();
    store.close();
  }

  @Test
  void aMicroVmIsCreatedRunsAndGoes() {
    FakeWorker worker = controller.join("a");

    CompletableFuture<MicroVm> running =
        CompletableFuture.supplyAsync(() ->
            controller
                .client()
                .createMicroVm(probe("vm").toBuilder().setWait(Wait.WAIT_RUNNING).build()));
    Assignment assignment = worker.nextAssignment();
    assertEquals(name("vm"), assignment.getName());
    assertEquals(1, assignment.getAttempt());
    worker.report(FakeWorker.running(assignment));
    assertEquals(MicroVmState.RUNNING, running.join().getStatus().getState());

    MicroVm deleting =
        controller
            .client()
            .deleteMicroVm(DeleteMicroVmRequest.newBuilder().setName(name("vm")).build());
    assertEquals(MicroVmState.DELETING, deleting.getStatus().getState());
    assertEquals(assignment.getUid(), worker.next().getDesiredChange().getRemove().getUid());
    worker.report(FakeWorker.removed(assignment.getUid()));
    await().until(() -> reasonOfGet("vm").equals(Optional.of(ErrorReason.MICROVM_NOT_FOUND)));
  }

  private Optional<ErrorReason> reasonOfGet(String id) {
    GetMicroVmRequest get = GetMicroVmRequest.newBuilder().setName(name(id)).build();
    try {
      controller.client().getMicroVm(get);
      return Optional.empty();
    } catch (StatusRuntimeException e) {
      return Errors.reasonOf(e);
    }
  }
}
