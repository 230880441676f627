package dev.vireo.controller.tracing;

import dev.vireo.controller.store.ForwardingStore;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.StoreException;
import dev.vireo.controller.store.Write;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** A store whose commits are spans of what they are made for, until they are durable. */
final class TracedStore extends ForwardingStore {
  private final String name;
  private final Tracer tracer;

  TracedStore(Store store, String name, Tracer tracer) {
    super(store);
    this.name = name;
    this.tracer = tracer;
  }

  @Override
  public CompletableFuture<Long> commit(List<Write> writes) {
    Context parent = Current.get();
    if (parent == null) {
      return super.commit(writes);
    }
    Span span =
        tracer
            .spanBuilder("commit")
            .setSpanKind(SpanKind.CLIENT)
            .setParent(parent)
            .setAttribute(Attributes.DB_SYSTEM, name)
            .setAttribute(Attributes.DB_OPERATION, "commit")
            .setAttribute(Attributes.DB_BATCH_SIZE, (long) writes.size())
            .startSpan();
    return super.commit(writes)
        .whenComplete((_, error) -> {
          if (error != null) {
            Throwable cause = StoreException.causeOf(error);
            span.setAttribute(Attributes.ERROR_TYPE, cause.getClass().getSimpleName());
            span.setStatus(StatusCode.ERROR, String.valueOf(cause.getMessage()));
          }
          span.end();
        });
  }
}
