package dev.vireo.controller.testing;

import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/**
 * A client of a stream that takes only as many messages as it is told to.
 *
 * @param <Q> the request
 * @param <R> a message of the stream
 */
public final class SlowReader<Q, R> implements ClientResponseObserver<Q, R> {
  private final CompletableFuture<ClientCallStreamObserver<Q>> call = new CompletableFuture<>();
  private final CompletableFuture<Throwable> failed = new CompletableFuture<>();
  private final Consumer<R> onMessage;

  public SlowReader(Consumer<R> onMessage) {
    this.onMessage = onMessage;
  }

  public void read(int messages) {
    call.join().request(messages);
  }

  /** With which error the stream ended. */
  public Throwable awaitFailure() {
    return failed.join();
  }

  @Override
  public void beforeStart(ClientCallStreamObserver<Q> started) {
    started.disableAutoRequestWithInitial(0);
    call.complete(started);
  }

  @Override
  public void onNext(R message) {
    onMessage.accept(message);
  }

  @Override
  public void onError(Throwable error) {
    failed.complete(error);
  }

  @Override
  public void onCompleted() {
    failed.completeExceptionally(new AssertionError("the stream ended well"));
  }
}
