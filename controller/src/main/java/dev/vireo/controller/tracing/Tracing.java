package dev.vireo.controller.tracing;

import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.store.Store;
import io.grpc.ClientInterceptor;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/** Where traces are made in this process: what is put around calls and the store, and told of. */
public interface Tracing extends AutoCloseable {
  /** Makes none. */
  Tracing OFF =
      new Tracing() {
        @Override
        public ServerInterceptor ofServer() {
          return new ServerInterceptor() {
            @Override
            public <Q, R> ServerCall.Listener<Q> interceptCall(
                ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
              return next.startCall(call, headers);
            }
          };
        }

        @Override
        public List<ClientInterceptor> ofLeaderChannels() {
          return List.of();
        }

        @Override
        public Store of(Store store, String name) {
          return store;
        }

        @Override
        public CreateTraces of(MicroVms microVms) {
          return CreateTraces.NONE;
        }

        @Override
        public void close() {}
      };

  /**
   * On if an OTLP endpoint is set, {@code otel.exporter.otlp.endpoint} or that of traces alone, and
   * nothing else says that it is off. All other settings are OpenTelemetry's own.
   *
   * @param settings by their names as system properties
   * @throws IllegalArgumentException if they cannot be followed; the message says which
   */
  static Tracing configured(Function<String, Optional<String>> settings) {
    Map<String, String> endpoints = new HashMap<>();
    for (String name :
        List.of("otel.exporter.otlp.endpoint", "otel.exporter.otlp.traces.endpoint")) {
      settings
          .apply(name)
          .filter(value -> !value.isBlank())
          .ifPresent(value -> endpoints.put(name, value));
    }
    boolean off =
        settings.apply("otel.sdk.disabled").filter("true"::equalsIgnoreCase).isPresent()
            || settings.apply("otel.traces.exporter").filter("none"::equals).isPresent();
    return endpoints.isEmpty() || off ? OFF : OpenTelemetryTracing.exporting(endpoints);
  }

  /** Sees each call first. */
  ServerInterceptor ofServer();

  /** For calls that go on to the leader. */
  List<ClientInterceptor> ofLeaderChannels();

  /**
   * A store whose commits are traced.
   *
   * @param name what the store is, as in the setting {@code vireo.store}
   */
  Store of(Store store, String name);

  /** Follows these. */
  CreateTraces of(MicroVms microVms);

  /** Sends what has not been sent. */
  @Override
  void close();
}
