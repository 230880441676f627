package dev.vireo.controller.session;

import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Duration;
import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.SlowReader;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.TraceFilter;
import dev.vireo.proto.v1.TraceMicroVmRequest;
import dev.vireo.proto.v1.TraceMicroVmResponse;
import dev.vireo.proto.v1.TraceRecord;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.ReadTrace;
import dev.vireo.proto.worker.v1.TraceChunk;
import dev.vireo.proto.worker.v1.WorkerMessage;
import io.grpc.Context;
import io.grpc.StatusRuntimeException;
import java.util.Iterator;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A trace, from the worker's session to the client that asked for it. */
final class TraceTest extends ControllerTest {
  private static TraceMicroVmRequest.Builder traced(String id) {
    return TraceMicroVmRequest.newBuilder().setName(name(id));
  }

  private Iterator<TraceMicroVmResponse> trace(String id) {
    return controller.client().traceMicroVm(traced(id).build());
  }

  private static WorkerMessage say(TraceChunk.Builder chunk, ReadTrace read) {
    return WorkerMessage.newBuilder().setTraceChunk(chunk.setStreamId(read.getStreamId())).build();
  }

  private static TraceChunk.Builder chunk(long time) {
    return TraceChunk.newBuilder().addRecords(TraceRecord.newBuilder().setTimeNs(time));
  }

  private static TraceChunk.Builder failure(ErrorReason reason, String field) {
    return TraceChunk.newBuilder()
        .setEnd(true)
        .setReason(reason.name())
        .setField(field)
        .setError("as the node says.");
  }

  @Test
  void whatAVmmDoesReachesTheClientUntilItEnds() {
    FakeWorker worker = controller.join("a");
    Assignment assignment = running(worker, "vm");
    TraceFilter filter =
        TraceFilter.newBuilder()
            .setIo(true)
            .setDevice("root")
            .setSlowerThan(Duration.newBuilder().setNanos(5))
            .build();
    Iterator<TraceMicroVmResponse> client =
        controller.client().traceMicroVm(traced("vm").setFilter(filter).build());

    ReadTrace read = worker.next().getReadTrace();
    assertEquals(assignment.getUid(), read.getUid());
    assertEquals(filter, read.getFilter());
    assertTrue(read.getCreditChunks() > 1);
    worker.say(say(TraceChunk.newBuilder(), read));
    worker.say(say(chunk(7).setDropped(3), read));
    worker.say(say(TraceChunk.newBuilder().setEnd(true), read));

    assertEquals(TraceMicroVmResponse.getDefaultInstance(), client.next());
    TraceMicroVmResponse response = client.next();
    assertEquals(7, response.getRecords(0).getTimeNs());
    assertEquals(3, response.getDropped());
    assertFalse(client.hasNext());
  }

  @Test
  void aClientThatGoesEndsIt() {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");
    Context.CancellableContext client = Context.current().withCancellation();
    client.run(() -> {
      Iterator<TraceMicroVmResponse> _ = trace("vm");
    });
    ReadTrace read = worker.next().getReadTrace();
    client.cancel(null);

    assertEquals(read.getStreamId(), worker.next().getCancelTrace().getStreamId());
  }

  @Test
  void creditIsGivenBackOnlyAsFastAsTheClientReads() {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");
    AtomicInteger seen = new AtomicInteger();
    SlowReader<TraceMicroVmRequest, TraceMicroVmResponse> client =
        new SlowReader<>(response -> seen.incrementAndGet());
    MicroVmServiceGrpc.newStub(controller.channel()).traceMicroVm(traced("vm").build(), client);
    ReadTrace read = worker.next().getReadTrace();
    for (int i = 0; i < read.getCreditChunks(); i++) {
      worker.say(say(chunk(i), read));
    }
    await().during(java.time.Duration.ofMillis(300)).until(worker::hasHeardNothing);

    client.read(read.getCreditChunks() + 1);
    await().until(() -> seen.get() == read.getCreditChunks());
    int granted = 0;
    while (granted < read.getCreditChunks()) {
      ReadTrace more = worker.next().getReadTrace();
      assertEquals(read.getStreamId(), more.getStreamId());
      granted += more.getCreditChunks();
    }
    assertEquals(read.getCreditChunks(), granted);
  }

  @Test
  void itEndsWithTheSession() {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");
    Iterator<TraceMicroVmResponse> client = trace("vm");
    worker.next();
    worker.close();

    assertRefused(ErrorReason.NODE_UNREACHABLE, client::hasNext);
  }

  @Test
  void theNodesRefusalReachesTheClientWithItsReason() {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");
    for (ErrorReason reason :
        new ErrorReason[] {ErrorReason.TRACE_BUSY, ErrorReason.STATE_CONFLICT}) {
      Iterator<TraceMicroVmResponse> client = trace("vm");
      worker.say(say(failure(reason, ""), worker.next().getReadTrace()));
      assertRefused(reason, client::hasNext);
    }
  }

  @Test
  void aFieldThatTheVmmRefusesIsNamed() {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");
    Iterator<TraceMicroVmResponse> client = trace("vm");
    worker.say(
        say(failure(ErrorReason.FIELD_INVALID, "filter.device"), worker.next().getReadTrace()));

    StatusRuntimeException refused = assertRefused(ErrorReason.FIELD_INVALID, client::hasNext);
    assertEquals("filter.device: as the node says.", refused.getStatus().getDescription());
  }

  @ParameterizedTest
  @CsvSource({
    "Root disk, 0, 0, filter.device",
    "a-name-that-is-longer-than-any, 0, 0, filter.device",
    "'', -1, 0, filter.slower_than",
    "'', 0, -1, filter.slower_than",
    "'', 0, 1000000000, filter.slower_than",
    "'', 3600, 1, filter.slower_than",
    "'', 315576000000, 0, filter.slower_than"
  })
  void whatCannotBeMeantIsRefusedBeforeTheNodeHears(
      String device, long seconds, int nanos, String field) {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");
    TraceFilter.Builder filter =
        TraceFilter.newBuilder()
            .setDevice(device)
            .setSlowerThan(Duration.newBuilder().setSeconds(seconds).setNanos(nanos));

    StatusRuntimeException refused =
        assertRefused(
            ErrorReason.FIELD_INVALID,
            () ->
                controller.client().traceMicroVm(traced("vm").setFilter(filter).build()).hasNext());
    String message = String.valueOf(refused.getStatus().getDescription());
    assertTrue(message.startsWith(field + ": "), message);
    assertTrue(worker.hasHeardNothing());
  }

  @Test
  void withoutANodeOrItsWorkerThereIsNothingToTrace() {
    create(probe("vm"));
    assertRefused(ErrorReason.NOT_ON_A_NODE, () -> trace("vm").hasNext());
    assertRefused(ErrorReason.MICROVM_NOT_FOUND, () -> trace("none").hasNext());
    FakeWorker worker = controller.join("a");
    worker.nextAssignment();
    worker.close();
    await()
        .untilAsserted(
            () -> assertRefused(ErrorReason.NODE_UNREACHABLE, () -> trace("vm").hasNext()));
  }
}
