package dev.vireo.cli;

import io.grpc.Context;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.PrintStream;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** The growing pauses between attempts to reach a server again, told to the user once. */
final class Backoff {
  private static final long FIRST_MILLIS = 100;
  private static final long LONGEST_MILLIS = 2000;

  /** Attempts in a row that found nobody: about a minute. */
  private static final int MOST_ATTEMPTS = 35;

  private int attempts;

  /** Whether the stream broke for a reason that passes: the server restarts, the node is away. */
  static boolean isWorthRetrying(StatusRuntimeException error) {
    return error.getStatus().getCode() == Status.Code.UNAVAILABLE;
  }

  void reset() {
    attempts = 0;
  }

  /** Waits, or rethrows {@code error} when it has waited long enough. Ends early when cancelled. */
  void pause(PrintStream err, StatusRuntimeException error) {
    if (++attempts > MOST_ATTEMPTS) {
      throw error;
    }
    if (attempts == 1) {
      err.println("vireo: connection lost, reconnecting");
    }
    long millis = Math.min(LONGEST_MILLIS, FIRST_MILLIS << Math.min(attempts - 1, 5));
    CountDownLatch cancelled = new CountDownLatch(1);
    Context.CancellationListener listener = context -> cancelled.countDown();
    Context.current().addListener(listener, Runnable::run);
    try {
      if (cancelled.await(millis, TimeUnit.MILLISECONDS)) {
        throw Status.CANCELLED.asRuntimeException();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw Status.CANCELLED.withCause(e).asRuntimeException();
    } finally {
      Context.current().removeListener(listener);
    }
  }
}
