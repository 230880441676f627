package dev.vireo.controller.tracing;

import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.context.Context;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The span that what is done now belongs to. It is kept in gRPC's context, which goes with a call
 * to whichever thread serves it.
 */
final class Current {
  private static final io.grpc.Context.Key<Context> KEY = io.grpc.Context.key("vireo.trace");

  private Current() {}

  /** Null if what is done now is not traced. */
  static @Nullable Context get() {
    return KEY.get();
  }

  /** The call's context, in which this is current. */
  static io.grpc.Context with(Context context) {
    Object ids = new Ids(Span.fromContext(context).getSpanContext());
    return io.grpc.Context.current().withValues(KEY, context, TraceIds.KEY, ids);
  }

  /** Written only if something is logged. */
  private record Ids(SpanContext of) {
    @Override
    public String toString() {
      return " trace_id=" + of.getTraceId() + " span_id=" + of.getSpanId();
    }
  }

  /** Does it with this span as the current one, and ends the span. */
  static void run(Context parent, Span span, Runnable task) {
    try {
      supply(
          parent.with(span),
          () -> {
            task.run();
            return null;
          });
    } finally {
      span.end();
    }
  }

  static <T extends @Nullable Object> T supply(Context context, Supplier<T> task) {
    io.grpc.Context current = with(context);
    io.grpc.Context before = current.attach();
    try {
      return task.get();
    } finally {
      current.detach(before);
    }
  }
}
