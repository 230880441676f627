package dev.vireo.worker.tracing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.worker.v1.Assignment;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which launches are followed. */
class LaunchTracerTest {
  private static final String ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT";
  private static final Assignment ASSIGNMENT = Assignment.getDefaultInstance();

  @Test
  void offItFollowsNone() {
    LaunchTracer tracer = LaunchTracer.configured("n", Map.of());
    assertSame(LaunchTracer.OFF, tracer);
    assertSame(LaunchTrace.NONE, tracer.follow(ASSIGNMENT, LaunchSpans.TRACEPARENT));
  }

  @ParameterizedTest
  @ValueSource(strings = {"OTEL_SDK_DISABLED=true", "OTEL_TRACES_EXPORTER=none"})
  void othersOfItsSettingsTurnItOffToo(String setting) {
    Map<String, String> environment = new HashMap<>(Map.of(ENDPOINT, "http://127.0.0.1:1"));
    String[] parts = setting.split("=", 2);
    environment.put(parts[0], parts[1]);
    assertSame(LaunchTracer.OFF, LaunchTracer.configured("n", environment));
  }

  @Test
  void anEndpointTurnsItOn() {
    try (LaunchTracer tracer =
        LaunchTracer.configured("n", Map.of(ENDPOINT, "http://127.0.0.1:1"))) {
      assertNotSame(LaunchTracer.OFF, tracer);
    }
  }

  @Test
  void anEndpointThatIsNoneIsToldOf() {
    IllegalArgumentException told =
        assertThrows(
            IllegalArgumentException.class,
            () -> LaunchTracer.configured("n", Map.of(ENDPOINT, "nowhere")));
    assertTrue(String.valueOf(told.getMessage()).contains("nowhere"), told::toString);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "what",
        "00-" + LaunchSpans.TRACE + "-" + LaunchSpans.PARENT,
        "00-" + LaunchSpans.TRACE + "-0000000000000000-01",
        "00-" + LaunchSpans.TRACE + "-" + LaunchSpans.PARENT + "-00"
      })
  void oneInNoTraceThatIsSampledIsNotFollowed(String traceparent) {
    try (LaunchSpans spans = new LaunchSpans("n")) {
      LaunchTrace trace = spans.tracer().follow(ASSIGNMENT, traceparent);
      assertSame(LaunchTrace.NONE, trace);
      trace.reached(LaunchTrace.Milestone.FILES_OPEN);
      trace.ended("for the test");
      assertEquals(List.of(), spans.names());
    }
  }

  @Test
  void aMilestoneCountsOnce() {
    try (LaunchSpans spans = new LaunchSpans("n")) {
      LaunchTrace trace = spans.tracer().follow(ASSIGNMENT, LaunchSpans.TRACEPARENT);
      trace.reached(LaunchTrace.Milestone.RUNNING);
      trace.reached(LaunchTrace.Milestone.VMM_TAKEN);
      trace.reached(LaunchTrace.Milestone.READY);
      trace.ended("it is ready");
      assertEquals(List.of("open files", "reconcile", "boot guest"), spans.names());
    }
  }
}
