package dev.vireo.worker.tracing;

import dev.vireo.proto.worker.v1.Assignment;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Makes the traces of launches. */
public interface LaunchTracer extends AutoCloseable {
  /** Makes none. */
  LaunchTracer OFF =
      new LaunchTracer() {
        @Override
        public LaunchTrace follow(Assignment assignment, String traceparent) {
          return LaunchTrace.NONE;
        }

        @Override
        public void close() {}
      };

  /**
   * On if an OTLP endpoint is set, {@code OTEL_EXPORTER_OTLP_ENDPOINT} or that of traces alone, and
   * nothing else says that it is off. All other settings are OpenTelemetry's own.
   *
   * @param environment its variables
   * @throws IllegalArgumentException if they cannot be followed; the message says which
   */
  static LaunchTracer configured(String nodeId, Map<String, String> environment) {
    Map<String, String> endpoints = new HashMap<>();
    for (String name :
        List.of("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")) {
      String value = environment.getOrDefault(name, "");
      if (!value.isBlank()) {
        endpoints.put(name.toLowerCase(Locale.ROOT).replace('_', '.'), value);
      }
    }
    boolean off =
        environment.getOrDefault("OTEL_SDK_DISABLED", "").equalsIgnoreCase("true")
            || environment.getOrDefault("OTEL_TRACES_EXPORTER", "").equals("none");
    return endpoints.isEmpty() || off
        ? OFF
        : OpenTelemetryLaunchTracer.exporting(nodeId, endpoints);
  }

  /**
   * Begins to follow a launch.
   *
   * @param traceparent the span that it is part of (W3C Trace Context); if it is empty, malformed
   *     or not sampled the launch is not followed
   */
  LaunchTrace follow(Assignment assignment, String traceparent);

  /** Sends what has not been sent. */
  @Override
  void close();
}
