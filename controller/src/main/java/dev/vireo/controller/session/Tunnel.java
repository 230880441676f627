package dev.vireo.controller.session;

import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.worker.v1.ClientEnd;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelFailure;
import dev.vireo.proto.worker.v1.TunnelUp;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A pipe between a client's call to a guest's agent, or to a node itself, and the call by which its
 * worker serves it.
 *
 * <p>It asks either side for one message at a time, and for the next only once the other side's
 * transport takes more: who does not read holds up the other, and costs a transport's buffer. It
 * ends with either call, with the worker's session, and when the worker does not dial.
 *
 * @param <Q> what the client sends
 * @param <R> what it is sent
 */
public final class Tunnel<Q, R> {
  /** In place of a microVM's uid: the call is to the node. */
  public static final String NODE_ITSELF = "";

  private static final TunnelDown CLIENT_END =
      TunnelDown.newBuilder().setEnd(ClientEnd.getDefaultInstance()).build();

  private final Tunnels tunnels;
  private final TunnelCodec<Q, R> codec;
  private final ServerCallStreamObserver<R> client;
  private @Nullable ServerCallStreamObserver<TunnelDown> worker;

  /** What the client has sent before its worker dialled: it is asked for no more. */
  private @Nullable TunnelDown first;

  private boolean clientEnded;

  /** A message was sent on, and the next has not been asked for. */
  private boolean clientHeld;

  private boolean workerHeld;
  private boolean ended;

  /** Once it is awaited. */
  private @Nullable String id;

  private @Nullable WorkerSession session;
  private Runnable whenOver = () -> {};

  Tunnel(Tunnels tunnels, TunnelCodec<Q, R> codec, ServerCallStreamObserver<R> client) {
    this.tunnels = tunnels;
    this.codec = codec;
    this.client = client;
    client.disableAutoRequest();
    client.setOnReadyHandler(this::pullWorker);
    client.setOnCancelHandler(this::clientGone);
    client.request(1);
  }

  TunnelKind kind() {
    return codec.kind();
  }

  /** What to do when it has ended, in whatever way: at once if it has. */
  public synchronized void whenOver(Runnable action) {
    if (ended) {
      action.run();
    } else {
      whenOver = action;
    }
  }

  // ---- the client's side

  /**
   * Has the worker of this session serve the call.
   *
   * @param uid of the microVM, or {@link #NODE_ITSELF}
   */
  public void open(WorkerSession by, String uid) {
    synchronized (this) {
      if (ended) {
        return;
      }
      id = tunnels.await(this);
      session = by;
      by.openTunnel(this, id, uid);
    }
    if (by.isOver()) {
      // It may have ended before it knew of this tunnel.
      failUnreachable("went away");
    }
  }

  /** The client has sent this. */
  public synchronized void fromClient(Q message) {
    if (ended) {
      return;
    }
    TunnelDown down = codec.down().apply(message);
    if (worker == null) {
      first = down;
    } else {
      toWorker(worker, down);
    }
  }

  /** The client sends no more. */
  public synchronized void clientEnded() {
    clientEnded = true;
    if (!ended && worker != null) {
      worker.onNext(CLIENT_END);
    }
  }

  private void toWorker(ServerCallStreamObserver<TunnelDown> to, TunnelDown down) {
    to.onNext(down);
    clientHeld = true;
    pullClient();
  }

  /** The worker's transport takes more, perhaps. */
  synchronized void pullClient() {
    if (!ended && clientHeld && worker != null && worker.isReady()) {
      clientHeld = false;
      client.request(1);
    }
  }

  private synchronized void clientGone() {
    if (!ended) {
      end(false);
      if (worker != null) {
        worker.onError(
            Status.CANCELLED.withDescription("the client went away").asRuntimeException());
      }
    }
  }

  // ---- the worker's side

  /** The worker has dialled. */
  synchronized void join(ServerCallStreamObserver<TunnelDown> call) {
    if (ended) {
      call.onError(unknown());
      return;
    }
    worker = call;
    if (first != null) {
      toWorker(call, first);
      first = null;
    }
    if (clientEnded) {
      call.onNext(CLIENT_END);
    }
  }

  /** What a worker is told that dials for a call which is not there, or is not there any more. */
  static StatusRuntimeException unknown() {
    return Errors.badRequest(
        List.of(
            new Errors.FieldViolation(
                "begin.tunnel_id",
                ErrorReason.FIELD_INVALID,
                "names no call that waits for its worker.")));
  }

  synchronized void fromWorker(TunnelUp message) {
    if (ended) {
      return;
    }
    if (message.hasFailure()) {
      fail(error(message.getFailure()));
      return;
    }
    Optional<R> response = codec.up().apply(message);
    if (response.isEmpty()) {
      fail(
          Errors.of(
              ErrorReason.INTERNAL,
              "the worker answered with %s".formatted(message.getMessageCase())));
      return;
    }
    client.onNext(response.get());
    workerHeld = true;
    pullWorker();
  }

  private synchronized void pullWorker() {
    if (!ended && workerHeld && worker != null && client.isReady()) {
      workerHeld = false;
      worker.request(1);
    }
  }

  synchronized void workerEnded() {
    if (!ended) {
      end(false);
      client.onCompleted();
      if (worker != null) {
        worker.onCompleted();
      }
    }
  }

  void workerGone() {
    failUnreachable("ended the call");
  }

  void notDialled(Duration patience) {
    failUnreachable("did not serve the call within %d ms".formatted(patience.toMillis()));
  }

  private synchronized void failUnreachable(String what) {
    if (session != null) {
      fail(session.unreachable(what));
    }
  }

  private static StatusRuntimeException error(TunnelFailure failure) {
    ErrorReason reason = Lifecycle.errorReason(failure.getReason());
    return failure.getField().isEmpty()
        ? Errors.of(reason, failure.getMessage())
        : Errors.badRequest(
            List.of(new Errors.FieldViolation(failure.getField(), reason, failure.getMessage())));
  }

  // ---- the end

  /** Ends both calls with this error, unless they have ended. */
  public synchronized void fail(StatusRuntimeException error) {
    if (!ended) {
      end(true);
      client.onError(error);
      if (worker != null) {
        worker.onError(error);
      }
    }
  }

  private void end(boolean failed) {
    ended = true;
    whenOver.run();
    if (session != null) {
      session.forget(this);
    }
    if (id != null) {
      tunnels.ended(this, id, failed);
    }
  }
}
