package dev.vireo.controller.grpc;

import dev.vireo.controller.store.StoreException;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.util.Map;
import java.util.concurrent.CancellationException;
import org.jboss.logging.Logger;

/**
 * Makes every error a typed one: what a service throws, or ends a stream with, reaches the client
 * with a reason of the catalogue. A bug becomes INTERNAL and is logged here; its stack trace stays
 * here too.
 */
public class ErrorInterceptor implements ServerInterceptor {
  private static final Logger LOG = Logger.getLogger(ErrorInterceptor.class);

  @Override
  public <Q, R> ServerCall.Listener<Q> interceptCall(
      ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
    TypedCall<Q, R> typed = new TypedCall<>(call);
    try {
      return new TypedListener<>(typed, next.startCall(typed, headers));
    } catch (RuntimeException e) {
      typed.fail(e);
      return new ServerCall.Listener<>() {};
    }
  }

  /** What the client is told of this. */
  public static StatusRuntimeException typed(Throwable error, String where) {
    return switch (error) {
      case StatusRuntimeException typed when Errors.reasonOf(typed).isPresent() -> typed;
      case StatusRuntimeException gone when gone.getStatus().getCode() == Status.Code.CANCELLED ->
          gone;
      case StoreException.Unavailable e -> Errors.of(ErrorReason.STORE_UNAVAILABLE, e.getMessage());
      case StoreException.OutcomeUnknown e ->
          Errors.of(ErrorReason.STORE_UNAVAILABLE, e.getMessage());
      case StoreException.NotLeader e -> Errors.of(ErrorReason.NOT_LEADER, e.getMessage());
      case StoreException.TooLarge e -> Errors.of(ErrorReason.FIELD_INVALID, e.getMessage());
      case StoreException.Compacted e ->
          Errors.of(ErrorReason.WATCH_VERSION_TOO_OLD, e.getMessage());
      case CancellationException _ ->
          Status.CANCELLED.withDescription("the call was cancelled").asRuntimeException();
      default -> {
        LOG.errorf(error, "bug in %s", where);
        yield Errors.of(
            ErrorReason.INTERNAL,
            "%s in %s".formatted(error.getClass().getSimpleName(), where),
            Map.of("method", where));
      }
    };
  }

  private static final class TypedCall<Q, R> extends SimpleForwardingServerCall<Q, R> {
    private boolean closed;

    TypedCall(ServerCall<Q, R> delegate) {
      super(delegate);
    }

    @Override
    public synchronized void close(Status status, Metadata trailers) {
      if (closed) {
        return;
      }
      closed = true;
      if (status.getCode() == Status.Code.UNKNOWN) {
        Throwable cause =
            status.getCause() == null ? status.asRuntimeException(trailers) : status.getCause();
        StatusRuntimeException typed = typed(cause, getMethodDescriptor().getFullMethodName());
        Metadata typedTrailers = typed.getTrailers();
        super.close(typed.getStatus(), typedTrailers == null ? new Metadata() : typedTrailers);
      } else {
        super.close(status, trailers);
      }
    }

    void fail(RuntimeException error) {
      StatusRuntimeException typed = typed(error, getMethodDescriptor().getFullMethodName());
      Metadata trailers = typed.getTrailers();
      close(typed.getStatus(), trailers == null ? new Metadata() : trailers);
    }
  }

  private static final class TypedListener<Q> extends SimpleForwardingServerCallListener<Q> {
    private final TypedCall<Q, ?> call;

    TypedListener(TypedCall<Q, ?> call, ServerCall.Listener<Q> delegate) {
      super(delegate);
      this.call = call;
    }

    @Override
    public void onMessage(Q message) {
      guard(() -> super.onMessage(message));
    }

    @Override
    public void onHalfClose() {
      guard(super::onHalfClose);
    }

    @Override
    public void onCancel() {
      guard(super::onCancel);
    }

    @Override
    public void onComplete() {
      guard(super::onComplete);
    }

    @Override
    public void onReady() {
      guard(super::onReady);
    }

    private void guard(Runnable event) {
      try {
        event.run();
      } catch (RuntimeException e) {
        call.fail(e);
      }
    }
  }
}
