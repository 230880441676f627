package dev.vireo.controller.session;

import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.google.protobuf.Timestamp;
import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.SlowReader;
import dev.vireo.controller.testing.TestController;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.InspectMicroVmRequest;
import dev.vireo.proto.v1.InspectMicroVmResponse;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.LogSource;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.StreamLogsRequest;
import dev.vireo.proto.v1.StreamLogsResponse;
import dev.vireo.proto.v1.StreamLogsResponse.Stream;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.Inspect;
import dev.vireo.proto.worker.v1.InspectResult;
import dev.vireo.proto.worker.v1.LogChunk;
import dev.vireo.proto.worker.v1.ReadLog;
import dev.vireo.proto.worker.v1.WorkerMessage;
import io.grpc.Context;
import java.util.Iterator;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/** What goes through the session and is not stored: the console and the VMM's view of itself. */
final class ConsoleTest extends ControllerTest {
  private static StreamLogsRequest.Builder logs(String id) {
    return StreamLogsRequest.newBuilder().setName(name(id));
  }

  private static WorkerMessage chunk(long stream, long offset, String data, boolean end) {
    return WorkerMessage.newBuilder()
        .setLogChunk(
            LogChunk.newBuilder()
                .setStreamId(stream)
                .setOffset(offset)
                .setData(ByteString.copyFromUtf8(data))
                .setEnd(end))
        .build();
  }

  @Test
  void aConsoleIsRelayedToItsEnd() {
    FakeWorker worker = controller.join("a");
    Assignment assignment = running(worker, "vm");
    Iterator<StreamLogsResponse> client =
        controller.client().streamLogs(logs("vm").setOffset(3).build());

    ReadLog read = worker.next().getReadLog();
    assertEquals(assignment.getUid(), read.getUid());
    assertEquals(3, read.getOffset());
    assertFalse(read.getFollow());
    assertTrue(read.getCreditBytes() > 0);
    worker.say(chunk(read.getStreamId(), 3, "hello ", false));
    worker.say(chunk(read.getStreamId(), 9, "world", true));

    StreamLogsResponse hello = client.next();
    assertEquals(3, hello.getOffset());
    assertEquals("hello ", hello.getData().toStringUtf8());
    assertEquals("world", client.next().getData().toStringUtf8());
    assertFalse(client.hasNext());
  }

  @Test
  void theOutputOfAContainerIsWhatIsReadOfItUnlessItsConsoleIsAskedFor() {
    FakeWorker worker = controller.join("a");
    running(
        worker,
        probe(
            "vm",
            spec -> {
              spec.getBootBuilder().clearKernel();
              spec.setMemoryMib(128).getContainerBuilder().setImage("busybox");
              return spec;
            }));
    Iterator<StreamLogsResponse> client = controller.client().streamLogs(logs("vm").build());
    ReadLog read = worker.next().getReadLog();
    assertEquals(LogSource.LOG_SOURCE_OUTPUT, read.getSource());
    Timestamp time = Timestamp.newBuilder().setSeconds(9).build();
    WorkerMessage.Builder record = chunk(read.getStreamId(), 0, "oops", true).toBuilder();
    record.getLogChunkBuilder().setNextOffset(20).setStream(Stream.STDERR).setTime(time);
    worker.say(record.build());

    StreamLogsResponse oops = client.next();
    assertEquals(20, oops.getNextOffset());
    assertEquals(Stream.STDERR, oops.getStream());
    assertEquals(time, oops.getTime());

    Iterator<StreamLogsResponse> _ =
        controller.client().streamLogs(logs("vm").setSource(LogSource.LOG_SOURCE_CONSOLE).build());
    assertEquals(LogSource.LOG_SOURCE_CONSOLE, worker.next().getReadLog().getSource());
  }

  @Test
  void aFollowedOutputGoesOnWhereTheWorkerSaidThatTheNextBegins() {
    FakeWorker worker = controller.join("a");
    Assignment assignment = running(worker, "vm");
    Iterator<StreamLogsResponse> client =
        controller.client().streamLogs(logs("vm").setFollow(true).build());
    WorkerMessage.Builder record =
        chunk(worker.next().getReadLog().getStreamId(), 0, "before", false).toBuilder();
    record.getLogChunkBuilder().setNextOffset(22);
    worker.say(record.build());
    assertEquals(22, client.next().getNextOffset());
    worker.close();

    FakeWorker again =
        controller.join(FakeWorker.hello("a").addReports(FakeWorker.running(assignment)));
    assertEquals(22, again.next().getReadLog().getOffset());
  }

  @Test
  void onlyAContainerHasOutput() {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");
    Iterator<StreamLogsResponse> client =
        controller.client().streamLogs(logs("vm").setSource(LogSource.LOG_SOURCE_OUTPUT).build());
    assertRefused(ErrorReason.FIELD_INVALID, client::hasNext);
  }

  @Test
  void twoClientsAreTwoStreams() {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");
    Iterator<StreamLogsResponse> one = controller.client().streamLogs(logs("vm").build());
    ReadLog first = worker.next().getReadLog();
    Iterator<StreamLogsResponse> two = controller.client().streamLogs(logs("vm").build());
    ReadLog second = worker.next().getReadLog();

    worker.say(chunk(second.getStreamId(), 0, "two", true));
    worker.say(chunk(first.getStreamId(), 0, "one", true));
    assertEquals("one", one.next().getData().toStringUtf8());
    assertEquals("two", two.next().getData().toStringUtf8());
  }

  @Test
  void aClientThatGoesEndsTheReading() {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");
    Context.CancellableContext client = Context.current().withCancellation();
    client.run(() -> {
      Iterator<StreamLogsResponse> _ =
          controller.client().streamLogs(logs("vm").setFollow(true).build());
    });
    ReadLog read = worker.next().getReadLog();
    client.cancel(null);

    assertEquals(read.getStreamId(), worker.next().getCancelLog().getStreamId());
  }

  @Test
  void creditIsGivenBackOnlyAsFastAsTheClientReads() {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");
    AtomicInteger bytes = new AtomicInteger();
    SlowReader<StreamLogsRequest, StreamLogsResponse> client =
        new SlowReader<>(response -> bytes.addAndGet(response.getData().size()));
    MicroVmServiceGrpc.newStub(controller.channel())
        .streamLogs(logs("vm").setFollow(true).build(), client);
    ReadLog read = worker.next().getReadLog();
    String block = "x".repeat(LogRelay.WINDOW_BYTES / 2);

    worker.say(chunk(read.getStreamId(), 0, block, false));
    worker.say(chunk(read.getStreamId(), block.length(), block, false));
    await().during(java.time.Duration.ofMillis(300)).until(worker::hasHeardNothing);

    client.read(10);
    await().until(() -> bytes.get() == LogRelay.WINDOW_BYTES);
    ReadLog more = worker.next().getReadLog();
    assertEquals(read.getStreamId(), more.getStreamId());
    assertTrue(more.getCreditBytes() > 0);
  }

  @Test
  void aFollowedConsoleGoesOnWhenItsWorkerIsBack() {
    FakeWorker worker = controller.join("a");
    Assignment assignment = running(worker, "vm");
    Iterator<StreamLogsResponse> client =
        controller.client().streamLogs(logs("vm").setFollow(true).build());
    worker.say(chunk(worker.next().getReadLog().getStreamId(), 0, "before", false));
    assertEquals("before", client.next().getData().toStringUtf8());
    worker.close();

    FakeWorker again =
        controller.join(FakeWorker.hello("a").addReports(FakeWorker.running(assignment)));
    ReadLog read = again.next().getReadLog();
    assertEquals(6, read.getOffset());
    assertTrue(read.getFollow());
    again.say(chunk(read.getStreamId(), 6, "after", true));
    assertEquals("after", client.next().getData().toStringUtf8());
    assertFalse(client.hasNext());
  }

  @Test
  void oneThatIsNotFollowedEndsWithItsWorker() {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");
    Iterator<StreamLogsResponse> client = controller.client().streamLogs(logs("vm").build());
    worker.next();
    worker.close();

    assertRefused(ErrorReason.NODE_UNREACHABLE, client::hasNext);
  }

  @Test
  void aWorkersErrorReachesTheClientWithItsReason() {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");
    Iterator<StreamLogsResponse> client = controller.client().streamLogs(logs("vm").build());
    worker.say(
        WorkerMessage.newBuilder()
            .setLogChunk(
                LogChunk.newBuilder()
                    .setStreamId(worker.next().getReadLog().getStreamId())
                    .setEnd(true)
                    .setReason("MICROVM_NOT_FOUND")
                    .setError("not here"))
            .build());

    assertRefused(ErrorReason.MICROVM_NOT_FOUND, client::hasNext);
  }

  @Test
  void withoutANodeOrItsWorkerThereIsNothingToRead() {
    create(probe("vm"));
    assertRefused(
        ErrorReason.NOT_ON_A_NODE,
        () -> controller.client().streamLogs(logs("vm").build()).hasNext());
    FakeWorker worker = controller.join("a");
    await().until(() -> !get("vm").getStatus().getNode().isEmpty()); // Its Welcome may say so.
    worker.close();
    await()
        .untilAsserted(() ->
            assertRefused(
                ErrorReason.NODE_UNREACHABLE,
                () -> controller.client().streamLogs(logs("vm").build()).hasNext()));
    assertRefused(
        ErrorReason.MICROVM_NOT_FOUND,
        () -> controller.client().streamLogs(logs("none").build()).hasNext());
    assertRefused(ErrorReason.NODE_UNREACHABLE, this::inspect);
  }

  @Test
  void anInspectionIsAskedOfTheNode() {
    FakeWorker worker = controller.join("a");
    Assignment assignment = running(worker, "vm");
    CompletableFuture<InspectMicroVmResponse> client = CompletableFuture.supplyAsync(this::inspect);
    Inspect asked = worker.next().getInspect();
    assertEquals(assignment.getUid(), asked.getUid());
    worker.say(
        WorkerMessage.newBuilder()
            .setInspectResult(
                InspectResult.newBuilder()
                    .setRequestId(asked.getRequestId())
                    .setInspection(Inspection.newBuilder().setVmmPid(42)))
            .build());

    assertEquals(42, client.join().getInspection().getVmmPid());
    assertEquals(TestController.name("vm"), client.join().getMicrovm().getMeta().getName());
  }

  @Test
  void anInspectionEndsWithTheSession() {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");
    CompletableFuture<InspectMicroVmResponse> client = CompletableFuture.supplyAsync(this::inspect);
    worker.next();
    worker.close();

    assertRefused(
        ErrorReason.NODE_UNREACHABLE,
        () -> {
          try {
            client.join();
          } catch (java.util.concurrent.CompletionException e) {
            throw java.util.Objects.requireNonNull(e.getCause());
          }
        });
  }

  private InspectMicroVmResponse inspect() {
    return controller
        .client()
        .inspectMicroVm(InspectMicroVmRequest.newBuilder().setName(name("vm")).build());
  }
}
