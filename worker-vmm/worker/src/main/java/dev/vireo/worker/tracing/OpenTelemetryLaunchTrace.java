package dev.vireo.worker.tracing;

import dev.vireo.proto.worker.v1.Assignment;
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import org.jspecify.annotations.Nullable;

/**
 * A launch as a span, over once the vCPUs run, and its stages as children of that. The guest's boot
 * is the last of them, and goes on after it.
 */
final class OpenTelemetryLaunchTrace implements LaunchTrace {
  private static final AttributeKey<String> MICROVM = AttributeKey.stringKey("vireo.microvm");
  private static final AttributeKey<String> NODE = AttributeKey.stringKey("vireo.node");
  private static final AttributeKey<Long> ATTEMPT = AttributeKey.longKey("vireo.attempt");

  private final Tracer tracer;
  private final LaunchLog log;
  private final String microVm;
  private final Attributes attributes;
  private final Span launch;
  private final Context inLaunch;

  /** What it is about now; null once it is ready, or has ended. */
  private @Nullable Span stage;

  private @Nullable Milestone last;

  OpenTelemetryLaunchTrace(
      Tracer tracer, LaunchLog log, Context parent, String nodeId, Assignment assignment) {
    this.tracer = tracer;
    this.log = log;
    this.microVm = assignment.getName();
    this.attributes =
        Attributes.of(
            MICROVM, assignment.getName(), NODE, nodeId, ATTEMPT, assignment.getAttempt());
    this.launch =
        tracer
            .spanBuilder("reconcile")
            .setSpanKind(SpanKind.CONSUMER)
            .setParent(parent)
            .setAllAttributes(attributes)
            .startSpan();
    log.begin(microVm, launch.getSpanContext());
    this.inLaunch = parent.with(launch);
    this.stage = begin("open files");
  }

  private Span begin(String name) {
    return tracer.spanBuilder(name).setParent(inLaunch).setAllAttributes(attributes).startSpan();
  }

  @Override
  public synchronized void reached(Milestone milestone) {
    Span over = stage;
    if (over == null || (last != null && milestone.compareTo(last) <= 0)) {
      return;
    }
    last = milestone;
    over.end();
    stage =
        switch (milestone) {
          case FILES_OPEN -> begin("prepare disks");
          case DISKS_PREPARED -> begin("take VMM");
          case VMM_TAKEN -> begin("create machine");
          case RUNNING -> begin("boot guest");
          case READY -> null;
        };
    if (stage == null) {
      log.ready(microVm);
    }
    if (milestone.compareTo(Milestone.RUNNING) >= 0) {
      launch.end();
    }
  }

  @Override
  public synchronized void ended(String why) {
    Span unfinished = stage;
    if (unfinished != null) {
      unfinished.setStatus(StatusCode.ERROR, why);
      unfinished.end();
      stage = null;
      log.failed(microVm);
      // Over already if its vCPUs have run.
      launch.setStatus(StatusCode.ERROR, why);
      launch.end();
    }
  }
}
