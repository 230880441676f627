package dev.vireo.controller.testing;

import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * A client that streams both ways, and takes only as many messages as it is told to.
 *
 * @param <Q> what it sends
 * @param <R> what it is sent
 */
public final class StreamingClient<Q, R> implements ClientResponseObserver<Q, R> {
  private static final long PATIENCE_SECONDS = 10;

  private final BlockingQueue<R> received = new LinkedBlockingQueue<>();
  private final CompletableFuture<@Nullable Throwable> ended = new CompletableFuture<>();
  private final CompletableFuture<ClientCallStreamObserver<Q>> call = new CompletableFuture<>();

  @Override
  public void beforeStart(ClientCallStreamObserver<Q> started) {
    started.disableAutoRequestWithInitial(0);
    call.complete(started);
  }

  public void say(Q message) {
    call.join().onNext(message);
  }

  public void complete() {
    call.join().onCompleted();
  }

  public void cancel() {
    call.join().cancel("the client goes", null);
  }

  /** Whether the server takes more at this moment. */
  public boolean isReady() {
    return call.join().isReady();
  }

  /** Takes one message more. */
  public void ask() {
    call.join().request(1);
  }

  /** The next message; fails the test if none comes. */
  public R next() throws InterruptedException {
    ask();
    R next = received.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
    if (next == null) {
      throw new AssertionError("nothing came; ended: " + ended.getNow(null));
    }
    return next;
  }

  /** With which error the call ended; null if it ended well. */
  public @Nullable Throwable awaitEnd() {
    ask();
    return ended.orTimeout(PATIENCE_SECONDS, TimeUnit.SECONDS).join();
  }

  @Override
  public void onNext(R message) {
    received.add(message);
  }

  @Override
  public void onError(Throwable error) {
    ended.complete(error);
  }

  @Override
  public void onCompleted() {
    ended.complete(null);
  }
}
