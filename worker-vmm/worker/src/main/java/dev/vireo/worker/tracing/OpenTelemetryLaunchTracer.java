package dev.vireo.worker.tracing;

import dev.vireo.proto.worker.v1.Assignment;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.api.trace.propagation.W3CTraceContextPropagator;
import io.opentelemetry.context.Context;
import io.opentelemetry.context.propagation.TextMapGetter;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.autoconfigure.AutoConfiguredOpenTelemetrySdk;
import io.opentelemetry.sdk.autoconfigure.spi.ConfigurationException;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.logging.Handler;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;

/** Traces made by OpenTelemetry's SDK. */
final class OpenTelemetryLaunchTracer implements LaunchTracer {
  private static final String SCOPE = "dev.vireo.worker";

  /** A collector that does not answer is not waited for. */
  private static final long LAST_SPANS_SECONDS = 2;

  /** What holds unless the environment or a system property says otherwise. */
  private static final Map<String, String> DEFAULTS =
      Map.of(
          "otel.service.name",
          "vireo-worker",
          "otel.exporter.otlp.protocol",
          "http/protobuf",
          "otel.metrics.exporter",
          "none",
          "otel.logs.exporter",
          "none");

  private static final TextMapGetter<String> TRACEPARENT =
      new TextMapGetter<>() {
        @Override
        public @Nullable String get(@Nullable String traceparent, String name) {
          return name.equals("traceparent") ? traceparent : null;
        }
      };

  private final String nodeId;
  private final OpenTelemetrySdk sdk;
  private final Tracer tracer;
  private final LaunchLog log;

  /**
   * @param sdk closed with this
   * @param log is told of launches
   */
  OpenTelemetryLaunchTracer(String nodeId, OpenTelemetrySdk sdk, LaunchLog log) {
    this.nodeId = nodeId;
    this.log = log;
    this.sdk = sdk;
    this.tracer = sdk.getTracer(SCOPE);
  }

  /**
   * Exports as the environment and system properties say.
   *
   * @param endpoints where to, unless they say so
   */
  static OpenTelemetryLaunchTracer exporting(String nodeId, Map<String, String> endpoints) {
    LaunchLog log = new LaunchLog();
    try {
      OpenTelemetrySdk sdk =
          AutoConfiguredOpenTelemetrySdk.builder()
              .addPropertiesSupplier(() -> DEFAULTS)
              .addPropertiesSupplier(() -> endpoints)
              .disableShutdownHook()
              .build()
              .getOpenTelemetrySdk();
      for (Handler handler : Logger.getLogger("").getHandlers()) {
        handler.setFilter(log);
      }
      return new OpenTelemetryLaunchTracer(nodeId, sdk, log);
    } catch (ConfigurationException | IllegalStateException e) {
      throw new IllegalArgumentException(
          "cannot export traces as the settings OTEL_… say (http/protobuf is the only protocol): "
              + e.getMessage(),
          e);
    }
  }

  @Override
  public LaunchTrace follow(Assignment assignment, String traceparent) {
    Context parent =
        W3CTraceContextPropagator.getInstance().extract(Context.root(), traceparent, TRACEPARENT);
    return Span.fromContext(parent).getSpanContext().isSampled()
        ? new OpenTelemetryLaunchTrace(tracer, log, parent, nodeId, assignment)
        : LaunchTrace.NONE;
  }

  @Override
  public void close() {
    sdk.shutdown().join(LAST_SPANS_SECONDS, TimeUnit.SECONDS);
  }
}
