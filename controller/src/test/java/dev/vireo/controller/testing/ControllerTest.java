package dev.vireo.controller.testing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.vireo.controller.store.MeteredStore;
import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.store.Store;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
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
import java.util.concurrent.Executor;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** A test of the whole controller from outside: clients and workers over gRPC. */
public abstract class ControllerTest {
  private static final Executor VIRTUAL_THREADS = Thread::startVirtualThread;

  @TempDir private Path directory;
  private Store store;
  protected TestController controller;
  protected final SimpleMeterRegistry storeMeters = new SimpleMeterRegistry();

  @BeforeEach
  final void start() {
    start(new ManualTime());
  }

  private void start(ManualTime time) {
    store =
        new MeteredStore(
            SqliteStore.open(directory.resolve("vireo.db"), Clock.systemUTC(), storeMeters),
            "sqlite",
            storeMeters);
    controller = new TestController(store, time);
  }

  @AfterEach
  final void stop() {
    controller.close();
    store.close();
  }

  /** Ends the controller and starts it again on what it had stored. */
  protected final void restart() {
    ManualTime time = controller.time;
    stop();
    start(time);
  }

  /** The store fails from now on. */
  protected final void breakStore() {
    store.close();
  }

  protected final MicroVm create(CreateMicroVmRequest request) {
    return controller.client().createMicroVm(request);
  }

  /** Creates, waiting for something, while the test goes on. */
  protected final CompletableFuture<MicroVm> createAsync(CreateMicroVmRequest request, Wait wait) {
    return CompletableFuture.supplyAsync(
        () -> create(request.toBuilder().setWait(wait).build()), VIRTUAL_THREADS);
  }

  /** Creates one and lets the worker run it. */
  protected final Assignment running(FakeWorker worker, String id) {
    return running(worker, TestController.probe(id));
  }

  protected final Assignment running(FakeWorker worker, CreateMicroVmRequest request) {
    create(request);
    Assignment assignment = worker.nextAssignment();
    worker.report(FakeWorker.running(assignment));
    awaitState(request.getMicrovmId(), MicroVmState.RUNNING);
    return assignment;
  }

  protected final MicroVm get(String id) {
    return controller
        .client()
        .getMicroVm(GetMicroVmRequest.newBuilder().setName(TestController.name(id)).build());
  }

  protected final MicroVmState state(String id) {
    return get(id).getStatus().getState();
  }

  protected final void awaitState(String id, MicroVmState state) {
    Awaitility.await().until(() -> state(id) == state);
  }

  protected final boolean exists(String id) {
    try {
      get(id);
      return true;
    } catch (StatusRuntimeException e) {
      assertEquals(Optional.of(ErrorReason.MICROVM_NOT_FOUND), Errors.reasonOf(e));
      return false;
    }
  }

  protected final void awaitGone(String id) {
    Awaitility.await().until(() -> !exists(id));
  }

  /** The call must be refused for this reason, with that reason's code. */
  public static StatusRuntimeException assertRefused(ErrorReason reason, Executable call) {
    StatusRuntimeException refused = assertThrows(StatusRuntimeException.class, call);
    assertEquals(Optional.of(reason), Errors.reasonOf(refused), refused::toString);
    assertEquals(reason.code().name(), refused.getStatus().getCode().name());
    return refused;
  }
}
