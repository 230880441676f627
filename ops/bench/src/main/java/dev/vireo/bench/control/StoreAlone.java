package dev.vireo.bench.control;

import com.google.protobuf.ByteString;
import dev.vireo.controller.store.Lifetime;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.Write;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;

/**
 * What a create writes, without a controller: an object and its request in one commit, and then the
 * object again.
 */
final class StoreAlone {
  private final Store store;
  private final AtomicLong keys = new AtomicLong();

  StoreAlone(Store store) {
    this.store = store;
  }

  /**
   * Does that for this long.
   *
   * @param inFlight how many of these pairs are on their way
   * @param bytes of each object
   * @return pairs a second
   */
  double pairsPerSecond(int inFlight, int bytes, Duration lasting) throws InterruptedException {
    ByteString value = ByteString.copyFrom(new byte[bytes]);
    Semaphore free = new Semaphore(inFlight);
    AtomicLong done = new AtomicLong();
    long start = System.nanoTime();
    while (System.nanoTime() - start < lasting.toNanos()) {
      free.acquire();
      CompletableFuture<?> _ =
          pair(value)
              .whenComplete((_, error) -> {
                if (error == null) {
                  done.incrementAndGet();
                }
                free.release();
              });
    }
    free.acquire(inFlight);
    return done.get() / ((System.nanoTime() - start) / 1e9);
  }

  private CompletableFuture<Long> pair(ByteString value) {
    long key = keys.incrementAndGet();
    String object = "alone/objects/" + key;
    return store
        .commit(
            List.of(
                new Write.Put(object, Write.ABSENT, value),
                new Write.Put(
                    "alone/requests/" + key,
                    Write.ABSENT,
                    value,
                    new Lifetime.AtLeast(Duration.ofHours(24)))))
        .thenCompose(version -> store.commit(List.of(new Write.Put(object, version, value))));
  }
}
