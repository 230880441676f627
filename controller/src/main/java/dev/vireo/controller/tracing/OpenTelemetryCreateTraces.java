package dev.vireo.controller.tracing;

import dev.vireo.controller.lifecycle.ConditionType;
import dev.vireo.controller.lifecycle.Conditions;
import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.microvm.MicroVmChange;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.scheduler.Decision;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The traces of microVMs that are on their way, by uid. All that is done for one is a child of the
 * call that has asked for it, also when that has long been answered.
 */
final class OpenTelemetryCreateTraces implements CreateTraces {
  /** One that never becomes ready is forgotten for others. */
  private static final int MOST_FOLLOWED = 10_000;

  private final MicroVms microVms;
  private final Tracer tracer;

  /** The oldest first. Guarded by itself. */
  private final Map<String, Followed> followed =
      new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Followed> eldest) {
          return size() > MOST_FOLLOWED;
        }
      };

  private static final class Followed {
    final String name;

    /** With the ids of the call's span. */
    final Context call;

    /** While it has no node, the span of that. */
    private @Nullable Span waiting;

    Followed(String name, Context call) {
      this.name = name;
      this.call = call;
    }

    synchronized void waits(Tracer tracer) {
      if (waiting == null) {
        waiting =
            tracer
                .spanBuilder("wait for a node")
                .setParent(call)
                .setAttribute(Attributes.MICROVM, name)
                .startSpan();
      }
    }

    synchronized void waitsNoMore(MicroVm microVm) {
      if (waiting != null) {
        Span span = waiting;
        Lifecycle.nodeId(microVm).ifPresent(node -> span.setAttribute(Attributes.NODE, node));
        span.end();
        waiting = null;
      }
    }

    synchronized @Nullable Context waiting() {
      return waiting == null ? null : call.with(waiting);
    }
  }

  OpenTelemetryCreateTraces(MicroVms microVms, Tracer tracer) {
    this.microVms = microVms;
    this.tracer = tracer;
    microVms.listen(this::onChange);
  }

  @Override
  public void begin(String uid, String name) {
    Context call = Current.get();
    if (call == null || !Span.fromContext(call).isRecording()) {
      return;
    }
    Span span = Span.fromContext(call);
    span.setAttribute(Attributes.MICROVM, name);
    // What the call's span has to tell need not be kept for as long.
    Context ids = Context.root().with(Span.wrap(span.getSpanContext()));
    synchronized (followed) {
      followed.put(uid, new Followed(name, ids));
    }
  }

  @Override
  public void settle(String uid) {
    if (microVms.findByUid(uid).isEmpty()) {
      forget(uid);
    }
  }

  @Override
  public Decision decision(MicroVm microVm, Supplier<Decision> decide) {
    Context parent = Current.get();
    if (parent == null) {
      return decide.get();
    }
    Span span = start("schedule", SpanKind.INTERNAL, parent, microVm.getMeta().getName());
    Decision decision = decide.get();
    switch (decision) {
      case Decision.Placed(String nodeId, double _) -> {
        span.setAttribute(Attributes.NODE, nodeId);
        span.end();
      }
      case Decision.Unplaceable unplaceable -> {
        // One that waits is decided about over and over: what counts is how that ends.
        if (!isWaiting(microVm.getMeta().getUid())) {
          span.setAttribute(Attributes.UNPLACEABLE, unplaceable.explanation().summary());
          span.end();
        }
      }
    }
    return decision;
  }

  private boolean isWaiting(String uid) {
    Followed one = find(uid);
    return one != null && one.waiting() != null;
  }

  @Override
  public <T> T retry(String uid, Supplier<T> place) {
    Followed one = find(uid);
    Context waiting = one == null ? null : one.waiting();
    return waiting == null ? place.get() : Current.supply(waiting, place);
  }

  @Override
  public String assign(MicroVm microVm, String nodeId) {
    Followed one = find(microVm.getMeta().getUid());
    if (one == null) {
      return "";
    }
    Span span = start("assign", SpanKind.PRODUCER, one.call, one.name);
    span.setAttribute(Attributes.NODE, nodeId);
    span.setAttribute(Attributes.ATTEMPT, microVm.getStatus().getAttempt());
    span.end();
    return Traceparent.of(one.call.with(span));
  }

  @Override
  public void report(String nodeId, MicroVmReport report, Runnable record) {
    Followed one = find(report.getUid());
    if (one == null) {
      record.run();
      return;
    }
    Span span = start("report", SpanKind.CONSUMER, one.call, one.name);
    span.setAttribute(Attributes.NODE, nodeId);
    span.setAttribute(Attributes.ATTEMPT, report.getAttempt());
    span.setAttribute(Attributes.OUTCOME, report.getOutcome().name());
    span.setAttribute(Attributes.STATE, report.getState().name());
    span.setAttribute(Attributes.READY, report.getReady());
    Current.run(one.call, span, record);
  }

  private Span start(String name, SpanKind kind, Context parent, String microVm) {
    return tracer
        .spanBuilder(name)
        .setSpanKind(kind)
        .setParent(parent)
        .setAttribute(Attributes.MICROVM, microVm)
        .startSpan();
  }

  /** On the store's thread. */
  private void onChange(MicroVmChange change) {
    String uid = change.microVm().uid();
    Followed one = find(uid);
    if (one == null) {
      return;
    }
    MicroVm microVm = change.microVm().microVm();
    if (change.present().isPresent() && Lifecycle.wantsPlacement(microVm)) {
      one.waits(tracer);
    } else {
      one.waitsNoMore(microVm);
    }
    if (change.present().isEmpty()
        || Conditions.isTrue(microVm, ConditionType.READY)
        || Conditions.isTrue(microVm, ConditionType.FINISHED)) {
      forget(uid);
    }
  }

  private @Nullable Followed find(String uid) {
    synchronized (followed) {
      return followed.get(uid);
    }
  }

  private void forget(String uid) {
    synchronized (followed) {
      followed.remove(uid);
    }
  }
}
