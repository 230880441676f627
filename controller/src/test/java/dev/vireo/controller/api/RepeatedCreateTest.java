package dev.vireo.controller.api;

import static dev.vireo.controller.testing.TestController.probe;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.store.Write;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.HeldStore;
import dev.vireo.controller.testing.TestController;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.MicroVm;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Clock;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A create that is sent first and then again to wait, as {@code vireo run --rm} does. */
final class RepeatedCreateTest {
  @TempDir private Path directory;

  /** A commit that finds the request there would have had a share of the quota meanwhile. */
  @Test
  void oneThatWaitsTriesToCreateNothing() throws Exception {
    try (HeldStore store =
            new HeldStore(
                SqliteStore.open(
                    directory.resolve("vireo.db"), Clock.systemUTC(), new SimpleMeterRegistry()));
        TestController controller = new TestController(store)) {
      FakeWorker worker = controller.join("a");
      CreateMicroVmRequest request =
          probe("vm").toBuilder().setRequestId(UUID.randomUUID().toString()).build();
      MicroVm created = controller.client().createMicroVm(request);
      store.holdNext(RepeatedCreateTest::isOfRequest);

      CompletableFuture<MicroVm> waiting =
          CompletableFuture.supplyAsync(
              () ->
                  controller
                      .client()
                      .createMicroVm(request.toBuilder().setWait(Wait.WAIT_RUNNING).build()),
              Thread::startVirtualThread);
      worker.report(FakeWorker.running(worker.nextAssignment()));

      try {
        assertEquals(created.getMeta().getUid(), waiting.get().getMeta().getUid());
        assertFalse(store.holds());
      } finally {
        store.release();
      }
    }
  }

  private static boolean isOfRequest(List<Write> writes) {
    return writes.stream()
        .anyMatch(write -> write instanceof Write.Put put && put.key().startsWith("requests/"));
  }
}
