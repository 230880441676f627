package dev.vireo.cli;

import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import io.grpc.stub.StreamObserver;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * A call that streams its requests, by blocking: who sends waits until the transport takes more,
 * who reads until something has come, and no more comes than a few messages ahead. One thread may
 * send and one read.
 *
 * @param <Q> the requests
 * @param <R> the responses
 */
final class DuplexCall<Q, R> implements ClientResponseObserver<Q, R>, AutoCloseable {
  private static final int AHEAD = 4;

  /** What moves at all takes more within this. */
  private static final long SOON_NANOS = Duration.ofSeconds(1).toNanos();

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final Deque<R> arrived = new ArrayDeque<>();
  private @Nullable ClientCallStreamObserver<Q> call;
  private @Nullable StatusRuntimeException failure;
  private boolean ended;
  private boolean halfClosed;
  private long timesReady;

  /**
   * Begins a call.
   *
   * @param method of a stub
   */
  DuplexCall(Consumer<StreamObserver<R>> method) {
    method.accept(this);
  }

  @Override
  public void beforeStart(ClientCallStreamObserver<Q> started) {
    call = started;
    started.disableAutoRequestWithInitial(AHEAD);
    started.setOnReadyHandler(this::becomeReady);
  }

  @Override
  public void onNext(R message) {
    lock.lock();
    try {
      arrived.add(message);
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void onError(Throwable error) {
    end(
        error instanceof StatusRuntimeException status
            ? status
            : Status.fromThrowable(error).asRuntimeException());
  }

  @Override
  public void onCompleted() {
    end(null);
  }

  private void end(@Nullable StatusRuntimeException why) {
    lock.lock();
    try {
      ended = true;
      failure = why;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  private void becomeReady() {
    lock.lock();
    try {
      timesReady++;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /**
   * Sends, once the transport takes more.
   *
   * @return whether there is anybody to send to; if not, {@link #next} says why
   */
  boolean send(Q message) {
    lock.lock();
    try {
      while (!ended && !call().isReady()) {
        changed.awaitUninterruptibly();
      }
      if (!ended && !halfClosed) {
        call().onNext(message);
      }
      return !ended;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Sends out of turn what is small and cannot wait.
   *
   * @return false if it is still behind what was sent before, which nobody takes
   */
  boolean sendNow(Q message) {
    lock.lock();
    try {
      if (!ended && !halfClosed) {
        call().onNext(message);
      }
      long before = timesReady;
      long left = SOON_NANOS;
      while (!ended && !call().isReady() && timesReady == before && left > 0) {
        left = changed.awaitNanos(left);
      }
      return left > 0;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    } finally {
      lock.unlock();
    }
  }

  /** Sends no more. */
  void halfClose() {
    lock.lock();
    try {
      if (!ended && !halfClosed) {
        halfClosed = true;
        call().onCompleted();
      }
    } finally {
      lock.unlock();
    }
  }

  /**
   * The next response, once it is there; empty when the call has ended well.
   *
   * @throws StatusRuntimeException if it has not
   */
  Optional<R> next() {
    lock.lock();
    try {
      while (arrived.isEmpty() && !ended) {
        changed.awaitUninterruptibly();
      }
      R next = arrived.poll();
      if (next != null) {
        call().request(1);
        return Optional.of(next);
      }
      if (failure != null) {
        throw failure;
      }
      return Optional.empty();
    } finally {
      lock.unlock();
    }
  }

  /** Ends the call, unless it has ended: whoever waits in here is told so. */
  @Override
  public void close() {
    call().cancel("the client has ended it", null);
  }

  private ClientCallStreamObserver<Q> call() {
    if (call == null) {
      throw new IllegalStateException("the call has not started");
    }
    return call;
  }
}
