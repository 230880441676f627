package dev.vireo.controller.testing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.controller.tracing.OpenTelemetryTracing;
import dev.vireo.controller.tracing.Tracing;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.testing.exporter.InMemorySpanExporter;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.SimpleSpanProcessor;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.awaitility.Awaitility;

/** The spans that controllers have made and ended, in memory. */
public final class Spans implements AutoCloseable {
  private final InMemorySpanExporter exporter = InMemorySpanExporter.create();
  private final OpenTelemetrySdk sdk =
      OpenTelemetrySdk.builder()
          .setTracerProvider(
              SdkTracerProvider.builder()
                  .addSpanProcessor(SimpleSpanProcessor.create(exporter))
                  .build())
          .build();
  private final OpenTelemetryTracing tracing = new OpenTelemetryTracing(sdk);

  public Tracing tracing() {
    return tracing;
  }

  /** One that is going on. */
  public Span begin(String name) {
    return sdk.getTracer("test").spanBuilder(name).startSpan();
  }

  public List<SpanData> all() {
    return exporter.getFinishedSpanItems();
  }

  /** By how often there is one, once they are exactly these. */
  public void awaitNames(String... names) {
    Map<String, Long> expected = counted(List.of(names), name -> name);
    Awaitility.await()
        .untilAsserted(() -> assertEquals(expected, counted(all(), SpanData::getName)));
  }

  private static <T> Map<String, Long> counted(List<T> items, Function<T, String> name) {
    return items.stream().collect(Collectors.groupingBy(name, Collectors.counting()));
  }

  /** The only one of this name. */
  public SpanData one(String name) {
    List<SpanData> found = all().stream().filter(span -> span.getName().equals(name)).toList();
    assertEquals(1, found.size(), () -> name + " in " + all());
    return found.getFirst();
  }

  /** All are of one trace, and each but the first has a parent that is here. */
  public void assertOneTree(SpanData root) {
    List<String> ids = all().stream().map(SpanData::getSpanId).toList();
    for (SpanData span : all()) {
      assertEquals(root.getTraceId(), span.getTraceId(), span::toString);
      assertTrue(
          span.getSpanId().equals(root.getSpanId()) || ids.contains(span.getParentSpanId()),
          () -> "without a parent: " + span);
    }
  }

  @Override
  public void close() {
    tracing.close();
  }
}
