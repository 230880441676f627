package dev.vireo.controller.api;

import dev.vireo.controller.grpc.ErrorInterceptor;
import dev.vireo.controller.session.Tunnel;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.StreamObserver;
import java.util.function.BiConsumer;
import java.util.function.BiFunction;

/**
 * What a client sends in a call to a guest's agent, or to a node itself: checked, and put into a
 * tunnel, which the first message opens. Never blocks.
 */
final class AgentCall<Q> implements StreamObserver<Q> {
  private final Tunnel<Q, ?> tunnel;
  private final BiFunction<Q, Boolean, Violations> check;
  private final BiConsumer<Tunnel<Q, ?>, Q> begin;
  private boolean begun;

  /**
   * @param check finds what is wrong with a message, which is the first or is not
   * @param begin opens the tunnel, now or later, and puts the first message into it
   */
  AgentCall(
      Tunnel<Q, ?> tunnel,
      BiFunction<Q, Boolean, Violations> check,
      BiConsumer<Tunnel<Q, ?>, Q> begin) {
    this.tunnel = tunnel;
    this.check = check;
    this.begin = begin;
  }

  @Override
  public void onNext(Q message) {
    try {
      check.apply(message, !begun).throwIfAny();
      if (begun) {
        tunnel.fromClient(message);
      } else {
        begun = true;
        begin.accept(tunnel, message);
      }
    } catch (RuntimeException e) {
      tunnel.fail(typed(e));
    }
  }

  /** As a client is told of it. */
  static StatusRuntimeException typed(RuntimeException error) {
    return ErrorInterceptor.typed(error, "a call through a tunnel");
  }

  @Override
  public void onError(Throwable error) {
    // Cancelled, as the tunnel knows.
  }

  @Override
  public void onCompleted() {
    if (begun) {
      tunnel.clientEnded();
    } else {
      tunnel.fail(Violations.missing("start"));
    }
  }
}
