package dev.vireo.controller.tracing;

import io.grpc.MethodDescriptor;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;

/** Spans of calls, by OpenTelemetry's conventions for RPC. */
final class RpcSpans {
  private RpcSpans() {}

  static Span start(Tracer tracer, SpanKind kind, MethodDescriptor<?, ?> method, Context parent) {
    return tracer
        .spanBuilder(method.getFullMethodName())
        .setSpanKind(kind)
        .setParent(parent)
        .setAttribute(Attributes.RPC_SYSTEM, "grpc")
        .setAttribute(Attributes.RPC_SERVICE, String.valueOf(method.getServiceName()))
        .setAttribute(Attributes.RPC_METHOD, String.valueOf(method.getBareMethodName()))
        .startSpan();
  }
}
