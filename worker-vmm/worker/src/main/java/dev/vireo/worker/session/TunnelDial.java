package dev.vireo.worker.session;

import dev.vireo.proto.worker.v1.TunnelBegin;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelFailure;
import dev.vireo.proto.worker.v1.TunnelUp;
import dev.vireo.proto.worker.v1.WorkerServiceGrpc;
import dev.vireo.worker.agent.Tunnel;
import io.grpc.Channel;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * A tunnel as the worker dials it: a call of its own at the controller that has asked for it. What
 * comes is kept, a few messages of it, until somebody receives it; the transport's thread, which
 * brings it, never waits.
 */
final class TunnelDial implements Tunnel, ClientResponseObserver<TunnelUp, TunnelDown> {
  /** Messages that may be on their way, so that not each waits for the one before. */
  private static final int AHEAD = 4;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final Deque<TunnelDown> arrived = new ArrayDeque<>();
  private @Nullable ClientCallStreamObserver<TunnelUp> call;
  private @Nullable Runnable onGone;
  private boolean clientEnded;

  /** The call has ended, from the other side or from this one. */
  private boolean gone;

  private boolean ended;

  private TunnelDial() {}

  /** Dials. Returns at once. */
  static Tunnel dial(Channel controller, String tunnelId) {
    TunnelDial tunnel = new TunnelDial();
    var up = WorkerServiceGrpc.newStub(controller).tunnel(tunnel);
    up.onNext(
        TunnelUp.newBuilder().setBegin(TunnelBegin.newBuilder().setTunnelId(tunnelId)).build());
    return tunnel;
  }

  // ---- by the transport

  @Override
  public void beforeStart(ClientCallStreamObserver<TunnelUp> toController) {
    call = toController;
    toController.disableAutoRequestWithInitial(AHEAD);
    toController.setOnReadyHandler(this::signal);
  }

  @Override
  public void onNext(TunnelDown message) {
    lock.lock();
    try {
      if (message.hasEnd()) {
        clientEnded = true;
      } else {
        arrived.add(message);
      }
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void onError(Throwable failure) {
    goneBy();
  }

  @Override
  public void onCompleted() {
    goneBy();
  }

  private void goneBy() {
    Runnable action;
    lock.lock();
    try {
      gone = true;
      action = onGone;
      onGone = null;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    start(action);
  }

  private static void start(@Nullable Runnable action) {
    if (action != null) {
      Thread.ofVirtual().name("tunnel-gone").start(action);
    }
  }

  private void signal() {
    lock.lock();
    try {
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  // ---- by who serves it

  @Override
  public Optional<TunnelDown> receive() throws GoneException, InterruptedException {
    lock.lockInterruptibly();
    try {
      while (!isOver() && arrived.isEmpty() && !clientEnded) {
        changed.await();
      }
      if (isOver()) {
        throw new GoneException();
      }
      TunnelDown next = arrived.poll();
      if (next != null) {
        call().request(1);
      }
      return Optional.ofNullable(next);
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void send(TunnelUp message) throws GoneException, InterruptedException {
    lock.lockInterruptibly();
    try {
      while (!isOver() && !call().isReady()) {
        changed.await();
      }
      if (isOver()) {
        throw new GoneException();
      }
      call().onNext(message);
    } finally {
      lock.unlock();
    }
  }

  private boolean isOver() {
    return gone || ended;
  }

  @Override
  public void complete() {
    end(() -> call().onCompleted());
  }

  @Override
  public void fail(TunnelFailure why) {
    end(() -> {
      call().onNext(TunnelUp.newBuilder().setFailure(why).build());
      call().onCompleted();
    });
  }

  @Override
  public void cancel() {
    end(() -> call().cancel("the worker has ended it", null));
    goneBy();
  }

  private void end(Runnable how) {
    lock.lock();
    try {
      if (!isOver()) {
        ended = true;
        how.run();
      }
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void onGone(Runnable action) {
    lock.lock();
    try {
      if (!gone) {
        onGone = action;
        return;
      }
    } finally {
      lock.unlock();
    }
    start(action);
  }

  private ClientCallStreamObserver<TunnelUp> call() {
    if (call == null) {
      throw new IllegalStateException("the call has not started");
    }
    return call;
  }
}
