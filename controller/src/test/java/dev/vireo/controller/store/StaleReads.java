package dev.vireo.controller.store;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;

/** A store that answers every tenth get as it answered the key's first: what no store may do. */
record StaleReads(Store store, ConcurrentHashMap<String, Optional<Entry>> first, AtomicInteger gets)
    implements Store {
  StaleReads(Store store) {
    this(store, new ConcurrentHashMap<>(), new AtomicInteger());
  }

  @Override
  public CompletableFuture<Optional<Entry>> get(String key) {
    boolean stale = gets.incrementAndGet() % 10 == 0;
    return store
        .get(key)
        .thenApply(entry -> {
          Optional<Entry> earlier = first.putIfAbsent(key, entry);
          return stale && earlier != null ? earlier : entry;
        });
  }

  @Override
  public CompletableFuture<Long> commit(List<Write> writes) {
    return store.commit(writes);
  }

  @Override
  public CompletableFuture<Listing> list(String prefix) {
    return store.list(prefix);
  }

  @Override
  public CompletableFuture<Watch> watch(String prefix, long afterVersion, Watcher watcher) {
    return store.watch(prefix, afterVersion, watcher);
  }

  @Override
  public CompletableFuture<Lease> lease(Duration time) {
    return store.lease(time);
  }

  @Override
  public void close() {
    store.close();
  }
}
