package dev.vireo.controller.tracing;

import io.grpc.Contexts;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;

/**
 * Makes a span of each of the API's calls with one answer, in the trace that its {@code
 * traceparent} names, or a new one. Streams last as long as somebody looks on, and have none.
 */
final class CallTracer implements ServerInterceptor {
  private static final String API = "vireo.v1.";

  private final Tracer tracer;

  CallTracer(Tracer tracer) {
    this.tracer = tracer;
  }

  @Override
  public <Q, R> ServerCall.Listener<Q> interceptCall(
      ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
    MethodDescriptor<Q, R> method = call.getMethodDescriptor();
    if (!method.getFullMethodName().startsWith(API)
        || method.getType() != MethodDescriptor.MethodType.UNARY) {
      return next.startCall(call, headers);
    }
    Context parent = Traceparent.read(headers);
    Span span = RpcSpans.start(tracer, SpanKind.SERVER, method, parent);
    Context context = parent.with(span);
    Traceparent.write(context, headers); // They may go on to the leader.
    return new Ending<>(
        Contexts.interceptCall(Current.with(context), new Traced<>(call, span), headers, next),
        span);
  }

  private static final class Traced<Q, R> extends SimpleForwardingServerCall<Q, R> {
    private final Span span;

    Traced(ServerCall<Q, R> delegate, Span span) {
      super(delegate);
      this.span = span;
    }

    @Override
    public void close(Status status, Metadata trailers) {
      span.setAttribute(Attributes.RPC_GRPC_STATUS, (long) status.getCode().value());
      switch (status.getCode()) {
        case UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS ->
            span.setStatus(StatusCode.ERROR, String.valueOf(status.getDescription()));
        case OK,
            CANCELLED,
            INVALID_ARGUMENT,
            NOT_FOUND,
            ALREADY_EXISTS,
            PERMISSION_DENIED,
            RESOURCE_EXHAUSTED,
            FAILED_PRECONDITION,
            ABORTED,
            OUT_OF_RANGE,
            UNAUTHENTICATED -> {
          // The client's own doing, which is no error of a server.
        }
      }
      super.close(status, trailers);
      span.end();
    }
  }

  /** A call that its client gives up is not closed. */
  private static final class Ending<Q> extends SimpleForwardingServerCallListener<Q> {
    private final Span span;

    Ending(ServerCall.Listener<Q> delegate, Span span) {
      super(delegate);
      this.span = span;
    }

    @Override
    public void onCancel() {
      span.setAttribute(Attributes.RPC_GRPC_STATUS, (long) Status.Code.CANCELLED.value());
      span.end();
      super.onCancel();
    }
  }
}
