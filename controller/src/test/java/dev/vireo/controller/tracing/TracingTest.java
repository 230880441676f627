package dev.vireo.controller.tracing;

import static dev.vireo.controller.testing.TestController.probe;
import static java.util.stream.Collectors.toSet;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.controller.testing.Collector;
import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import io.grpc.CallOptions;
import io.grpc.ClientInterceptors;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import io.opentelemetry.proto.resource.v1.Resource;
import io.opentelemetry.proto.trace.v1.Span;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** When traces are made at all, and where they go. */
final class TracingTest extends ControllerTest {
  private static final String ENDPOINT = "otel.exporter.otlp.endpoint";

  @Test
  void offItMakesAndSendsNothing() {
    Set<Thread> before = exporters();
    Tracing tracing = configured(Map.of());
    assertSame(Tracing.OFF, tracing);
    assertTrue(tracing.ofLeaderChannels().isEmpty());
    assertSame(CreateTraces.NONE, tracing.of(controller.microVms));
    // As this test's controller is, which has no settings.
    FakeWorker worker = controller.join("node-1");
    create(probe("vm"));
    assertEquals("", worker.nextAssignment().getTraceparent());
    assertTrue(before.containsAll(exporters()), "none was begun");
  }

  /** An earlier test's may not have ended quite. */
  private static Set<Thread> exporters() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().contains("BatchSpanProcessor"))
        .collect(toSet());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"otel.sdk.disabled=true", "otel.sdk.disabled=TRUE", "otel.traces.exporter=none"})
  void othersOfItsSettingsTurnItOffToo(String setting) {
    String[] parts = setting.split("=", 2);
    assertSame(Tracing.OFF, configured(Map.of(ENDPOINT, "http://127.0.0.1:1", parts[0], parts[1])));
  }

  @Test
  void anEndpointThatIsNoneIsToldOf() {
    IllegalArgumentException told =
        assertThrows(IllegalArgumentException.class, () -> configured(Map.of(ENDPOINT, "nowhere")));
    assertTrue(String.valueOf(told.getMessage()).contains("nowhere"), told::toString);
  }

  @Test
  void aCollectorIsSentWhatWasMadeAtTheEndAtTheLatest() throws Exception {
    try (Collector collector = new Collector(0)) {
      try (Tracing tracing = configured(Map.of(ENDPOINT, collector.endpoint()))) {
        assertNotEquals(Tracing.OFF, tracing);
        assertThrows(
            StatusRuntimeException.class,
            () ->
                ClientCalls.blockingUnaryCall(
                    ClientInterceptors.intercept(controller.channel(), tracing.ofLeaderChannels()),
                    MicroVmServiceGrpc.getDeleteMicroVmMethod(),
                    CallOptions.DEFAULT,
                    DeleteMicroVmRequest.getDefaultInstance()));
      }
      assertEquals(
          List.of("vireo.v1.MicroVmService/DeleteMicroVm"),
          collector.spans().stream().map(Span::getName).toList());
      Resource resource = collector.received().getFirst().getResource();
      assertTrue(
          resource.getAttributesList().stream()
              .anyMatch(it -> it.getValue().getStringValue().equals("vireo-controller")),
          resource::toString);
    }
  }

  private static Tracing configured(Map<String, String> settings) {
    return Tracing.configured(name -> Optional.ofNullable(settings.get(name)));
  }
}
