package dev.vireo.controller.store;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/** A store that is another one, but for what a subclass does otherwise. */
public abstract class ForwardingStore implements Store {
  private final Store store;

  /**
   * @param store closed with this one
   */
  protected ForwardingStore(Store store) {
    this.store = store;
  }

  @Override
  public CompletableFuture<Long> commit(List<Write> writes) {
    return store.commit(writes);
  }

  @Override
  public CompletableFuture<Void> barrier() {
    return store.barrier();
  }

  @Override
  public CompletableFuture<Optional<Entry>> get(String key) {
    return store.get(key);
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
