package dev.vireo.controller.tracing;

import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static java.util.stream.Collectors.toSet;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.controller.leader.Leadership;
import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.ManualTime;
import dev.vireo.controller.testing.Spans;
import dev.vireo.controller.testing.TestController;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.GetMicroVmRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc.MicroVmServiceBlockingStub;
import dev.vireo.proto.v1.ResourceMeta;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import io.grpc.Metadata;
import io.grpc.stub.MetadataUtils;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.opentelemetry.api.trace.SpanId;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.context.Context;
import io.opentelemetry.sdk.trace.data.SpanData;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a trace shows of a create, from its call until its guest is ready. */
final class CreateTracesTest {
  private static final String CREATE = "vireo.v1.MicroVmService/CreateMicroVm";
  private static final String TRACE = "0af7651916cd43dd8448eb211c80319c";
  private static final String CLIENT = "b7ad6b7169203331";
  private static final Executor VIRTUAL_THREADS = Thread::startVirtualThread;

  @TempDir private Path directory;
  private final Spans spans = new Spans();
  private Store store;
  private TestController controller;

  @BeforeEach
  void start() {
    store =
        SqliteStore.open(
            directory.resolve("vireo.db"), Clock.systemUTC(), new SimpleMeterRegistry());
    ManualTime time = new ManualTime();
    controller =
        new TestController(
            store,
            time,
            Leadership.sole(time),
            UUID.randomUUID().toString(),
            Duration.ofMillis(200),
            spans.tracing());
  }

  @AfterEach
  void stop() {
    controller.close();
    store.close();
    spans.close();
  }

  @Test
  void oneCreateIsOneTreeFromTheClientsCallToTheGuestThatIsReady() {
    FakeWorker worker = controller.join("node-1");
    CompletableFuture<MicroVm> created =
        CompletableFuture.supplyAsync(
            () -> create("vm", Wait.WAIT_READY, "00-%s-%s-01".formatted(TRACE, CLIENT)),
            VIRTUAL_THREADS);
    Assignment assignment = worker.nextAssignment();
    worker.report(FakeWorker.running(assignment).setReady(true));
    created.join();
    spans.awaitNames(CREATE, "schedule", "commit", "assign", "report", "commit");

    SpanData call = spans.one(CREATE);
    spans.assertOneTree(call);
    assertEquals(TRACE, call.getTraceId());
    assertEquals(CLIENT, call.getParentSpanId());
    assertEquals(SpanKind.SERVER, call.getKind());
    assertEquals("grpc", call.getAttributes().get(Attributes.RPC_SYSTEM));
    assertEquals("vireo.v1.MicroVmService", call.getAttributes().get(Attributes.RPC_SERVICE));
    assertEquals("CreateMicroVm", call.getAttributes().get(Attributes.RPC_METHOD));
    assertEquals(0, call.getAttributes().get(Attributes.RPC_GRPC_STATUS));
    assertEquals("node-1", spans.one("schedule").getAttributes().get(Attributes.NODE));
    SpanData assign = spans.one("assign");
    assertEquals("00-%s-%s-01".formatted(TRACE, assign.getSpanId()), assignment.getTraceparent());
    assertEquals(1, assign.getAttributes().get(Attributes.ATTEMPT));
    SpanData report = spans.one("report");
    assertEquals(true, report.getAttributes().get(Attributes.READY));
    assertEquals("RUNNING", report.getAttributes().get(Attributes.STATE));
    assertEquals(
        Set.of(call.getSpanId(), report.getSpanId()),
        spans.all().stream()
            .filter(span -> span.getName().equals("commit"))
            .map(SpanData::getParentSpanId)
            .collect(toSet()));
    for (String vireo : new String[] {CREATE, "schedule", "assign", "report"}) {
      assertEquals(name("vm"), spans.one(vireo).getAttributes().get(Attributes.MICROVM));
    }
  }

  @Test
  void theWaitForANodeIsSeenAndWhatEndsIt() {
    create("vm", Wait.WAIT_UNSPECIFIED, "");
    spans.awaitNames(CREATE, "schedule", "commit");
    assertTrue(spans.one("schedule").getAttributes().get(Attributes.UNPLACEABLE) != null);

    Assignment assignment = controller.join("late").nextAssignment();
    spans.awaitNames(
        CREATE, "schedule", "commit", "wait for a node", "schedule", "commit", "assign");
    spans.assertOneTree(spans.one(CREATE));
    SpanData waited = spans.one("wait for a node");
    assertEquals(spans.one(CREATE).getSpanId(), waited.getParentSpanId());
    assertEquals("late", waited.getAttributes().get(Attributes.NODE));
    assertEquals(
        2,
        spans.all().stream()
            .filter(span -> span.getParentSpanId().equals(waited.getSpanId()))
            .count(),
        "the decision, and its commit");
    assertTrue(assignment.getTraceparent().contains(spans.one("assign").getSpanId()));
  }

  @Test
  void anotherNodeThatTriesAfterARefusalIsInTheSameTrace() {
    FakeWorker first = controller.join("a");
    create("vm", Wait.WAIT_UNSPECIFIED, "");
    Assignment refused = first.nextAssignment();
    FakeWorker second = controller.join("b");
    first.report(
        FakeWorker.about(refused, Outcome.REJECTED)
            .setReason(ErrorReason.NODE_RESOURCES_EXHAUSTED.name())
            .setMessage("full"));
    Assignment next = second.nextAssignment();
    spans.awaitNames(
        CREATE,
        "schedule",
        "commit",
        "assign",
        "report",
        "commit",
        "wait for a node",
        "schedule",
        "commit",
        "assign");
    spans.assertOneTree(spans.one(CREATE));
    assertNotEquals(refused.getTraceparent(), next.getTraceparent());
    assertEquals(2, next.getAttempt());
  }

  @Test
  void whatIsReadyIsFollowedNoMore() {
    FakeWorker worker = controller.join("node-1");
    create("vm", Wait.WAIT_UNSPECIFIED, "");
    Assignment assignment = worker.nextAssignment();
    worker.report(FakeWorker.running(assignment).setReady(true));
    spans.awaitNames(CREATE, "schedule", "commit", "assign", "report", "commit");
    worker.report(FakeWorker.running(assignment).setReady(true).setRestarts(1));
    await().until(() -> get("vm").getStatus().getRestarts() == 1);
    assertEquals(1, spans.all().stream().filter(span -> span.getName().equals("report")).count());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "what",
        "00-" + TRACE + "-" + CLIENT,
        "ff-" + TRACE + "-" + CLIENT + "-01",
        "00-00000000000000000000000000000000-" + CLIENT + "-01",
        "00-" + TRACE + "-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" + CLIENT + "-01",
        "00-" + TRACE + "-" + CLIENT + "-01-more"
      })
  void aTraceparentThatIsMalformedCountsAsNone(String malformed) {
    create("vm", Wait.WAIT_UNSPECIFIED, malformed);
    spans.awaitNames(CREATE, "schedule", "commit");
    SpanData call = spans.one(CREATE);
    assertNotEquals(TRACE, call.getTraceId());
    assertFalse(SpanId.isValid(call.getParentSpanId()));
  }

  @Test
  void aTraceThatTheClientDoesNotSampleHasNoSpans() {
    FakeWorker worker = controller.join("node-1");
    create("not-sampled", Wait.WAIT_UNSPECIFIED, "00-%s-%s-00".formatted(TRACE, CLIENT));
    assertEquals("", worker.nextAssignment().getTraceparent());
    // One that is, for there to be something to wait for.
    create("sampled", Wait.WAIT_UNSPECIFIED, "");
    assertNotEquals("", worker.nextAssignment().getTraceparent());
    spans.awaitNames(CREATE, "schedule", "commit", "assign");
  }

  @Test
  void whatWasNotMadeIsForgotten() {
    CreateTraces traces = spans.tracing().of(controller.microVms);
    Current.run(Context.root(), spans.begin("call"), () -> traces.begin("uid", name("vm")));
    MicroVm microVm = MicroVm.newBuilder().setMeta(ResourceMeta.newBuilder().setUid("uid")).build();
    assertNotEquals("", traces.assign(microVm, "node-1"));
    traces.settle("uid");
    assertEquals("", traces.assign(microVm, "node-1"));
  }

  private MicroVm get(String id) {
    return controller.client().getMicroVm(GetMicroVmRequest.newBuilder().setName(name(id)).build());
  }

  private MicroVm create(String id, Wait wait, String traceparent) {
    MicroVmServiceBlockingStub client = controller.client();
    if (!traceparent.isEmpty()) {
      Metadata headers = new Metadata();
      headers.put(Metadata.Key.of("traceparent", Metadata.ASCII_STRING_MARSHALLER), traceparent);
      client = client.withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers));
    }
    CreateMicroVmRequest request = probe(id).toBuilder().setWait(wait).build();
    return client.createMicroVm(request);
  }
}
