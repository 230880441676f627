package dev.vireo.controller.tracing;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.ForwardingClientCallListener.SimpleForwardingClientCallListener;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;

/**
 * Makes a span of each call that goes on to the leader, which it is told as the parent of its own.
 */
final class ForwardTracer implements ClientInterceptor {
  private final Tracer tracer;

  ForwardTracer(Tracer tracer) {
    this.tracer = tracer;
  }

  @Override
  public <Q, R> ClientCall<Q, R> interceptCall(
      MethodDescriptor<Q, R> method, CallOptions options, Channel next) {
    ClientCall<Q, R> call = next.newCall(method, options);
    return method.getType() == MethodDescriptor.MethodType.UNARY
        ? new Traced<>(call, method)
        : call;
  }

  private final class Traced<Q, R> extends SimpleForwardingClientCall<Q, R> {
    private final MethodDescriptor<Q, R> method;

    Traced(ClientCall<Q, R> delegate, MethodDescriptor<Q, R> method) {
      super(delegate);
      this.method = method;
    }

    @Override
    public void start(Listener<R> listener, Metadata headers) {
      Context parent = Traceparent.read(headers);
      Span span = RpcSpans.start(tracer, SpanKind.CLIENT, method, parent);
      Traceparent.write(parent.with(span), headers);
      super.start(
          new SimpleForwardingClientCallListener<>(listener) {
            @Override
            public void onClose(Status status, Metadata trailers) {
              span.setAttribute(Attributes.RPC_GRPC_STATUS, (long) status.getCode().value());
              if (!status.isOk()) {
                span.setStatus(StatusCode.ERROR, String.valueOf(status.getDescription()));
              }
              span.end();
              super.onClose(status, trailers);
            }
          },
          headers);
    }
  }
}
