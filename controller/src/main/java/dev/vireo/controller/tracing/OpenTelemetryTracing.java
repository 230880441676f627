package dev.vireo.controller.tracing;

import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.store.Store;
import io.grpc.ClientInterceptor;
import io.grpc.ServerInterceptor;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.autoconfigure.AutoConfiguredOpenTelemetrySdk;
import io.opentelemetry.sdk.autoconfigure.spi.ConfigurationException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Traces made by OpenTelemetry's SDK. */
public final class OpenTelemetryTracing implements Tracing {
  private static final String SCOPE = "dev.vireo.controller";

  /** A collector that does not answer is not waited for. */
  private static final long LAST_SPANS_SECONDS = 2;

  /** What holds unless the environment or a system property says otherwise. */
  private static final Map<String, String> DEFAULTS =
      Map.of(
          "otel.service.name",
          "vireo-controller",
          "otel.exporter.otlp.protocol",
          "http/protobuf",
          // Metrics are Prometheus' affair, and logs the log's.
          "otel.metrics.exporter",
          "none",
          "otel.logs.exporter",
          "none");

  private final OpenTelemetrySdk sdk;
  private final Tracer tracer;

  /**
   * @param sdk closed with this
   */
  public OpenTelemetryTracing(OpenTelemetrySdk sdk) {
    this.sdk = sdk;
    this.tracer = sdk.getTracer(SCOPE);
  }

  /**
   * Exports as the environment and system properties say.
   *
   * @param endpoints where to, unless they say so
   */
  static OpenTelemetryTracing exporting(Map<String, String> endpoints) {
    try {
      return new OpenTelemetryTracing(
          AutoConfiguredOpenTelemetrySdk.builder()
              .addPropertiesSupplier(() -> DEFAULTS)
              .addPropertiesSupplier(() -> endpoints)
              .disableShutdownHook()
              .build()
              .getOpenTelemetrySdk());
    } catch (ConfigurationException | IllegalStateException e) {
      throw new IllegalArgumentException(
          "cannot export traces as the settings OTEL_… say (http/protobuf is the only protocol): "
              + e.getMessage(),
          e);
    }
  }

  @Override
  public ServerInterceptor ofServer() {
    return new CallTracer(tracer);
  }

  @Override
  public List<ClientInterceptor> ofLeaderChannels() {
    return List.of(new ForwardTracer(tracer));
  }

  @Override
  public Store of(Store store, String name) {
    return new TracedStore(store, name, tracer);
  }

  @Override
  public CreateTraces of(MicroVms microVms) {
    return new OpenTelemetryCreateTraces(microVms, tracer);
  }

  @Override
  public void close() {
    sdk.shutdown().join(LAST_SPANS_SECONDS, TimeUnit.SECONDS);
  }
}
