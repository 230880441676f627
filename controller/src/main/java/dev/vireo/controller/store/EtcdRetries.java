package dev.vireo.controller.store;

import static java.util.concurrent.TimeUnit.MILLISECONDS;

import dev.vireo.controller.store.StoreException.LeaseEnded;
import dev.vireo.controller.store.StoreException.Unavailable;
import dev.vireo.controller.time.TimeSource;
import io.etcd.jetcd.api.KVGrpc;
import io.etcd.jetcd.api.RangeRequest;
import io.etcd.jetcd.api.RangeResponse;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;

/**
 * Calls to an etcd that do no harm when they are done twice, and so are tried until their time is
 * over; and how long a try may take. All of it on the store's thread.
 */
final class EtcdRetries {
  private static final Duration PAUSE = Duration.ofMillis(200);

  private final EtcdClient client;
  private final EtcdOptions options;
  private final TimeSource time;
  private final ScheduledExecutorService thread;
  private volatile boolean over;

  EtcdRetries(
      EtcdClient client, EtcdOptions options, TimeSource time, ScheduledExecutorService thread) {
    this.client = client;
    this.options = options;
    this.time = time;
    this.thread = thread;
  }

  /** Of a call that begins now, by the clock of {@link TimeSource#nanoTime}. */
  long deadline() {
    return time.nanoTime() + options.timeout().toNanos();
  }

  boolean isPast(long deadline) {
    return time.nanoTime() - deadline > 0;
  }

  /** Of the first try of a commit: more than an etcd needs that is well, and its elections. */
  Duration firstAttempt() {
    return options.timeout().dividedBy(5);
  }

  /** Of one try; what is left of the time is for another. */
  Duration attempt() {
    return options.timeout().dividedBy(2);
  }

  CompletableFuture<RangeResponse> range(RangeRequest request, long deadline) {
    return call(KVGrpc.getRangeMethod(), request, deadline);
  }

  /** Fails with the {@link StoreException} that it came to. */
  <Q, A> CompletableFuture<A> call(MethodDescriptor<Q, A> method, Q request, long deadline) {
    CompletableFuture<A> done = new CompletableFuture<>();
    attempt(method, request, deadline, done);
    return done;
  }

  private <Q, A> void attempt(
      MethodDescriptor<Q, A> method, Q request, long deadline, CompletableFuture<A> done) {
    CompletableFuture<?> _ =
        client
            .call(method, request, attempt())
            .whenComplete((answer, error) -> {
              if (error == null) {
                done.complete(answer);
                return;
              }
              Status status = Status.fromThrowable(error);
              EtcdFailure failure = EtcdFailure.of(status);
              if (failure instanceof EtcdFailure.Rejected(StoreException why)) {
                done.completeExceptionally(why);
              } else if (failure instanceof EtcdFailure.LeaseGone) {
                done.completeExceptionally(new LeaseEnded());
              } else if (over || isPast(deadline)) {
                done.completeExceptionally(unreachable(status));
              } else {
                later(() -> attempt(method, request, deadline, done));
              }
            });
  }

  /** Does this after a pause, unless the store ends before. */
  void later(Runnable work) {
    if (!thread.isShutdown()) {
      Future<?> _ = thread.schedule(work, PAUSE.toMillis(), MILLISECONDS);
    }
  }

  /** From now on a call that fails has failed. */
  void end() {
    over = true;
  }

  Unavailable unreachable(Status status) {
    Throwable cause = status.getCause();
    return new Unavailable(
        "etcd at %s cannot be reached (%s%s): is it running, and are the endpoints right?"
            .formatted(
                options.place(),
                status.getDescription() == null ? status.getCode() : status.getDescription(),
                cause == null || cause.getMessage() == null ? "" : ": " + cause.getMessage()),
        status.asRuntimeException());
  }
}
