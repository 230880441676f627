package dev.vireo.controller.store;

import dev.vireo.controller.time.TimeSource;
import io.etcd.jetcd.api.LeaseGrantRequest;
import io.etcd.jetcd.api.LeaseGrantResponse;
import io.etcd.jetcd.api.LeaseGrpc;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/**
 * The leases of keys that go by themselves. Keys of about the same end share one, for a lease costs
 * etcd as much as a commit does.
 */
final class EtcdLeases {
  /** The most keys that go at once: a watch is told of them in one message. */
  private static final int KEYS = 1_000;

  /** A lease is shared for this part of its time, and lasts longer by as much. */
  private static final int SHARED_PART = 16;

  private final EtcdClient client;
  private final TimeSource time;
  private final Duration timeout;
  private final Map<Duration, Shared> shared = new HashMap<>();

  private static final class Shared {
    final CompletableFuture<Long> id;
    final long endNanos;
    int keys;

    Shared(CompletableFuture<Long> id, long endNanos) {
      this.id = id;
      this.endNanos = endNanos;
    }
  }

  EtcdLeases(EtcdClient client, TimeSource time, Duration timeout) {
    this.client = client;
    this.time = time;
    this.timeout = timeout;
  }

  /** A lease for each time that these writes name. */
  CompletableFuture<Map<Duration, Long>> grant(List<Write> writes) {
    Map<Duration, Long> ids = new HashMap<>();
    CompletableFuture<?> all = CompletableFuture.completedFuture(null);
    for (Write write : writes) {
      if (write instanceof Write.Put(_, _, _, Lifetime.AtLeast(Duration least))) {
        all = all.thenCombine(share(least).thenAccept(id -> ids.put(least, id)), (_, _) -> null);
      }
    }
    return all.thenApply(_ -> ids);
  }

  private CompletableFuture<Long> share(Duration least) {
    Shared known = shared.get(least);
    if (known == null
        || known.keys >= KEYS
        || time.nanoTime() - known.endNanos > 0
        || known.id.isCompletedExceptionally()) {
      known = grant(least);
      shared.put(least, known);
    }
    known.keys++;
    return known.id;
  }

  private Shared grant(Duration least) {
    long sharedSeconds = Math.max(1, least.toSeconds() / SHARED_PART);
    long end = time.nanoTime() + Duration.ofSeconds(sharedSeconds).toNanos();
    LeaseGrantRequest request =
        LeaseGrantRequest.newBuilder().setTTL(seconds(least) + sharedSeconds).build();
    CompletableFuture<Long> id =
        client
            .call(LeaseGrpc.getLeaseGrantMethod(), request, timeout)
            .thenApply(LeaseGrantResponse::getID);
    return new Shared(id, end);
  }

  /** etcd counts whole seconds. */
  static long seconds(Duration least) {
    return Math.max(1, least.plusMillis(999).toSeconds());
  }

  /** One of them is no more. */
  void forget() {
    shared.clear();
  }
}
