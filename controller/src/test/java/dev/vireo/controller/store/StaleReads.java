package dev.vireo.controller.store;

import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;

/** A store that answers every tenth get as it answered the key's first: what no store may do. */
final class StaleReads extends ForwardingStore {
  private final ConcurrentHashMap<String, Optional<Entry>> first = new ConcurrentHashMap<>();
  private final AtomicInteger gets = new AtomicInteger();

  StaleReads(Store store) {
    super(store);
  }

  @Override
  public CompletableFuture<Optional<Entry>> get(String key) {
    boolean stale = gets.incrementAndGet() % 10 == 0;
    return super.get(key)
        .thenApply(entry -> {
          Optional<Entry> earlier = first.putIfAbsent(key, entry);
          return stale && earlier != null ? earlier : entry;
        });
  }
}
