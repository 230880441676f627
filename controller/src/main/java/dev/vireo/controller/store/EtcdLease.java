package dev.vireo.controller.store;

import dev.vireo.controller.store.StoreException.LeaseEnded;
import io.etcd.jetcd.api.LeaseGrpc;
import io.etcd.jetcd.api.LeaseKeepAliveRequest;
import io.etcd.jetcd.api.LeaseRevokeRequest;
import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.function.BiConsumer;

/** A lease that its holder keeps alive. */
final class EtcdLease implements Store.Lease {
  private final long id;
  private final Duration lasting;
  private final EtcdClient client;
  private final EtcdRetries retries;
  private final BiConsumer<CompletableFuture<Void>, Runnable> onThread;

  /**
   * @param onThread does something on the store's thread, or fails the future if the store is
   *     closed
   */
  EtcdLease(
      long id,
      Duration lasting,
      EtcdClient client,
      EtcdRetries retries,
      BiConsumer<CompletableFuture<Void>, Runnable> onThread) {
    this.id = id;
    this.lasting = lasting;
    this.client = client;
    this.retries = retries;
    this.onThread = onThread;
  }

  @Override
  public long id() {
    return id;
  }

  @Override
  public CompletableFuture<Void> keepAlive() {
    CompletableFuture<Void> answer = new CompletableFuture<>();
    onThread.accept(answer, () -> keepAlive(answer));
    return answer;
  }

  /** Once: when an answer is late, the holder asks again, as long as there is time. */
  private void keepAlive(CompletableFuture<Void> answer) {
    LeaseKeepAliveRequest request = LeaseKeepAliveRequest.newBuilder().setID(id).build();
    Duration third = lasting.dividedBy(3);
    Duration patience = third.compareTo(retries.attempt()) < 0 ? third : retries.attempt();
    CompletableFuture<?> _ =
        client
            .callOnStream(LeaseGrpc.getLeaseKeepAliveMethod(), request, patience)
            .whenComplete((alive, error) -> {
              if (error != null) {
                answer.completeExceptionally(retries.unreachable(Status.fromThrowable(error)));
              } else if (alive.getTTL() > 0) {
                answer.complete(null);
              } else {
                answer.completeExceptionally(new LeaseEnded());
              }
            });
  }

  @Override
  public CompletableFuture<Void> end() {
    CompletableFuture<Void> answer = new CompletableFuture<>();
    onThread.accept(answer, () -> end(answer));
    return answer;
  }

  private void end(CompletableFuture<Void> answer) {
    LeaseRevokeRequest request = LeaseRevokeRequest.newBuilder().setID(id).build();
    CompletableFuture<?> _ =
        retries
            .call(LeaseGrpc.getLeaseRevokeMethod(), request, retries.deadline())
            .whenComplete((_, error) -> {
              if (error == null || error instanceof LeaseEnded) {
                answer.complete(null);
              } else {
                answer.completeExceptionally(error);
              }
            });
  }
}
