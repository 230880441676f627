package dev.vireo.controller.server;

import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import jakarta.enterprise.inject.spi.Prioritized;

/** One that Quarkus has see a call before all others. */
final class FirstInterceptor implements ServerInterceptor, Prioritized {
  private final ServerInterceptor interceptor;

  FirstInterceptor(ServerInterceptor interceptor) {
    this.interceptor = interceptor;
  }

  @Override
  public <Q, R> ServerCall.Listener<Q> interceptCall(
      ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
    return interceptor.interceptCall(call, headers, next);
  }

  @Override
  public int getPriority() {
    return Integer.MAX_VALUE;
  }
}
