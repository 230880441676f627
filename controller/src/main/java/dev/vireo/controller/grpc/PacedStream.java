package dev.vireo.controller.grpc;

import io.grpc.Status;
import io.grpc.stub.ServerCallStreamObserver;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The sending side of a stream, which waits while the transport has enough: at most the transport's
 * buffer is ever held for a slow reader.
 *
 * <p>Made in the call's method, before it returns; used by one thread, usually a virtual one.
 */
public final class PacedStream<T> {
  private final ServerCallStreamObserver<T> observer;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private volatile Runnable onGone = () -> {};
  private boolean ended;

  public PacedStream(ServerCallStreamObserver<T> observer) {
    this.observer = observer;
    observer.setOnReadyHandler(this::signal);
    observer.setOnCancelHandler(() -> {
      signal();
      onGone.run();
    });
  }

  /** What to do when the reader goes away, beside failing the next send. */
  public void onGone(Runnable action) {
    onGone = action;
    if (observer.isCancelled()) {
      action.run();
    }
  }

  /** The reader has gone, or the stream has ended. */
  public static final class Gone extends Exception {}

  /** Sends, once the transport takes more. */
  public void send(T message) throws Gone, InterruptedException {
    lock.lockInterruptibly();
    try {
      while (!ended && !observer.isCancelled() && !observer.isReady()) {
        changed.await();
      }
      if (isOver()) {
        throw new Gone();
      }
      observer.onNext(message);
    } finally {
      lock.unlock();
    }
  }

  public boolean isOver() {
    return ended || observer.isCancelled();
  }

  /** Ends the stream well, unless it has ended. */
  public void complete() {
    end(observer::onCompleted);
  }

  /** Ends the stream with an error, unless it has ended. */
  public void fail(Throwable error) {
    end(() -> observer.onError(error));
  }

  private void end(Runnable how) {
    lock.lock();
    try {
      if (!isOver()) {
        how.run();
      }
      ended = true;
      changed.signalAll();
    } catch (IllegalStateException e) {
      // Cancelled between the question and the answer: nobody is there to be told.
      if (Status.fromThrowable(e).getCode() != Status.Code.UNKNOWN) {
        throw e;
      }
    } finally {
      lock.unlock();
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
}
