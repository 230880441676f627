package dev.vireo.worker.agent;

import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelFailure;
import dev.vireo.proto.worker.v1.TunnelUp;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/** A client's call in memory. It takes what it is sent only as fast as a test allows. */
public final class FakeTunnel implements Tunnel {
  private static final long PATIENCE_SECONDS = 10;

  /** Once it has gone, so that whoever waits looks again. */
  private static final Optional<TunnelDown> WAKE = Optional.of(TunnelDown.getDefaultInstance());

  private final BlockingQueue<Optional<TunnelDown>> down = new LinkedBlockingQueue<>();
  private final BlockingQueue<TunnelUp> up = new LinkedBlockingQueue<>();
  private final Semaphore room = new Semaphore(0);
  private final List<Runnable> onGone = new ArrayList<>();
  private volatile boolean gone;

  /** How it ended: empty if well. */
  final CompletableFuture<Optional<TunnelFailure>> ended = new CompletableFuture<>();

  /** One whose client reads all that it is sent. */
  public static FakeTunnel reading() {
    FakeTunnel tunnel = new FakeTunnel();
    tunnel.room.release(Integer.MAX_VALUE / 2);
    return tunnel;
  }

  // ---- the client

  public void say(TunnelDown.Builder message) {
    down.add(Optional.of(message.build()));
  }

  public void halfClose() {
    down.add(Optional.empty());
  }

  /** Takes so many messages more. */
  void read(int messages) {
    room.release(messages);
  }

  public TunnelUp next() throws InterruptedException {
    TunnelUp next = up.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
    if (next == null) {
      throw new AssertionError("nothing came; ended: " + ended.getNow(null));
    }
    return next;
  }

  /** What the client has said and nobody has received. */
  int waiting() {
    return down.size();
  }

  int unread() {
    return up.size();
  }

  public boolean hasEnded() {
    return ended.isDone();
  }

  /** How it ended, once it has. */
  public Optional<TunnelFailure> awaitEnd() {
    return ended.orTimeout(PATIENCE_SECONDS, TimeUnit.SECONDS).join();
  }

  /** The client goes, without a word. */
  public void go() {
    List<Runnable> actions;
    synchronized (this) {
      gone = true;
      actions = List.copyOf(onGone);
      onGone.clear();
    }
    down.add(WAKE);
    room.release(Integer.MAX_VALUE / 4);
    actions.forEach(Runnable::run);
  }

  boolean isGone() {
    return gone;
  }

  // ---- as it is served

  @Override
  public Optional<TunnelDown> receive() throws GoneException, InterruptedException {
    Optional<TunnelDown> next = down.take();
    if (gone) {
      throw new GoneException();
    }
    return next;
  }

  @Override
  public void send(TunnelUp message) throws GoneException, InterruptedException {
    room.acquire();
    if (gone || ended.isDone()) {
      throw new GoneException();
    }
    up.add(message);
  }

  @Override
  public void complete() {
    ended.complete(Optional.empty());
  }

  @Override
  public void fail(TunnelFailure why) {
    ended.complete(Optional.of(why));
  }

  @Override
  public void cancel() {
    go();
  }

  @Override
  public void onGone(Runnable action) {
    synchronized (this) {
      if (!gone) {
        onGone.add(action);
        return;
      }
    }
    action.run();
  }
}
