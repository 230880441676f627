package dev.vireo.controller.tracing;

import io.grpc.Metadata;
import io.opentelemetry.api.trace.propagation.W3CTraceContextPropagator;
import io.opentelemetry.context.Context;
import io.opentelemetry.context.propagation.TextMapGetter;
import io.opentelemetry.context.propagation.TextMapPropagator;
import io.opentelemetry.context.propagation.TextMapSetter;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * W3C Trace Context in a call's metadata, and as the one value that an assignment carries. What is
 * malformed counts as absent.
 */
final class Traceparent {
  private static final TextMapPropagator W3C = W3CTraceContextPropagator.getInstance();

  private static final TextMapGetter<Metadata> GETTER =
      new TextMapGetter<>() {
        @Override
        public @Nullable String get(@Nullable Metadata headers, String name) {
          return headers == null ? null : headers.get(key(name));
        }
      };

  private static final TextMapSetter<Metadata> SETTER =
      (headers, name, value) -> {
        if (headers != null) {
          headers.discardAll(key(name));
          headers.put(key(name), value);
        }
      };

  private Traceparent() {}

  private static Metadata.Key<String> key(String name) {
    return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
  }

  static Context read(Metadata headers) {
    return W3C.extract(Context.root(), headers, GETTER);
  }

  /** In place of what was there. */
  static void write(Context context, Metadata headers) {
    W3C.inject(context, headers, SETTER);
  }

  static String of(Context context) {
    Map<String, String> fields = new HashMap<>();
    W3C.inject(
        context,
        fields,
        (carrier, name, value) -> {
          if (carrier != null) {
            carrier.put(name, value);
          }
        });
    return fields.getOrDefault("traceparent", "");
  }
}
