package dev.vireo.worker.tracing;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.testing.exporter.InMemorySpanExporter;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.SimpleSpanProcessor;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The spans of launches that have ended, in memory. */
public final class LaunchSpans implements AutoCloseable {
  public static final String TRACE = "0af7651916cd43dd8448eb211c80319c";
  public static final String PARENT = "b7ad6b7169203331";
  public static final String TRACEPARENT = "00-%s-%s-01".formatted(TRACE, PARENT);

  private final InMemorySpanExporter exporter = InMemorySpanExporter.create();
  private final LaunchLog log = new LaunchLog();
  private final OpenTelemetryLaunchTracer tracer;

  public LaunchSpans(String nodeId) {
    tracer =
        new OpenTelemetryLaunchTracer(
            nodeId,
            OpenTelemetrySdk.builder()
                .setTracerProvider(
                    SdkTracerProvider.builder()
                        .addSpanProcessor(SimpleSpanProcessor.create(exporter))
                        .build())
                .build(),
            log);
  }

  LaunchLog log() {
    return log;
  }

  public LaunchTracer tracer() {
    return tracer;
  }

  /** In the order in which they have ended. */
  public List<String> names() {
    return exporter.getFinishedSpanItems().stream().map(SpanData::getName).toList();
  }

  /** The only one of this name. */
  public SpanData one(String name) {
    List<SpanData> found =
        exporter.getFinishedSpanItems().stream()
            .filter(span -> span.getName().equals(name))
            .toList();
    assertEquals(1, found.size(), () -> name + " in " + names());
    return found.getFirst();
  }

  /** By their names. */
  public static Map<String, Object> attributes(SpanData span) {
    Map<String, Object> attributes = new HashMap<>();
    span.getAttributes().forEach((key, value) -> attributes.put(key.getKey(), value));
    return attributes;
  }

  @Override
  public void close() {
    tracer.close();
  }
}
