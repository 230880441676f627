package dev.vireo.controller.testing;

import dev.vireo.proto.worker.v1.TunnelBegin;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelFailure;
import dev.vireo.proto.worker.v1.TunnelUp;
import dev.vireo.proto.worker.v1.WorkerServiceGrpc;
import io.grpc.Channel;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** A worker's end of a tunnel, which takes and says only what a test tells it to. */
public final class FakeTunnel implements ClientResponseObserver<TunnelUp, TunnelDown> {
  private static final long PATIENCE_SECONDS = 10;

  private final BlockingQueue<TunnelDown> received = new LinkedBlockingQueue<>();
  private final CompletableFuture<@Nullable Throwable> ended = new CompletableFuture<>();
  private final CompletableFuture<ClientCallStreamObserver<TunnelUp>> call =
      new CompletableFuture<>();

  /** Dials. */
  public FakeTunnel(Channel channel, String id) {
    WorkerServiceGrpc.newStub(channel).tunnel(this);
    say(TunnelUp.newBuilder().setBegin(TunnelBegin.newBuilder().setTunnelId(id)));
  }

  @Override
  public void beforeStart(ClientCallStreamObserver<TunnelUp> started) {
    started.disableAutoRequestWithInitial(0);
    call.complete(started);
  }

  public void say(TunnelUp.Builder message) {
    call.join().onNext(message.build());
  }

  public void fail(TunnelFailure.Builder failure) {
    say(TunnelUp.newBuilder().setFailure(failure));
    complete();
  }

  public void complete() {
    call.join().onCompleted();
  }

  public void die() {
    call.join().cancel("killed", null);
  }

  /** Whether the controller takes more at this moment. */
  public boolean isReady() {
    return call.join().isReady();
  }

  /** Takes one message more. */
  public void ask() {
    call.join().request(1);
  }

  /** The next message; fails the test if none comes. */
  public TunnelDown next() throws InterruptedException {
    ask();
    TunnelDown next = received.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
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
  public void onNext(TunnelDown message) {
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
