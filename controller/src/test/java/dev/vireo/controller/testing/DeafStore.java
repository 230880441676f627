package dev.vireo.controller.testing;

import dev.vireo.controller.store.Change;
import dev.vireo.controller.store.Entry;
import dev.vireo.controller.store.Listing;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.Write;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;

/** A store whose watchers can be cut off, and are given a listing when they hear again. */
public final class DeafStore implements Store {
  private final Store store;
  private final List<Ear> ears = new CopyOnWriteArrayList<>();
  private volatile boolean deaf;

  public DeafStore(Store store) {
    this.store = store;
  }

  /** From now on no watcher is told. */
  public void cutOff() {
    deaf = true;
  }

  /** Each watcher is given what there is now, and is told again. */
  public void hearAgain() {
    deaf = false;
    ears.forEach(ear -> store.list(ear.prefix).thenAccept(ear::onListing).join());
  }

  private final class Ear implements Watcher {
    private final String prefix;
    private final Watcher watcher;

    Ear(String prefix, Watcher watcher) {
      this.prefix = prefix;
      this.watcher = watcher;
    }

    @Override
    public void onChanges(List<Change> changes) {
      if (!deaf) {
        watcher.onChanges(changes);
      }
    }

    @Override
    public void onListing(Listing listing) {
      watcher.onListing(listing);
    }
  }

  @Override
  public CompletableFuture<Watch> watch(String prefix, long afterVersion, Watcher watcher) {
    Ear ear = new Ear(prefix, watcher);
    ears.add(ear);
    return store.watch(prefix, afterVersion, ear);
  }

  @Override
  public CompletableFuture<Long> commit(List<Write> writes) {
    return store.commit(writes);
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
  public CompletableFuture<Lease> lease(Duration time) {
    return store.lease(time);
  }

  @Override
  public void close() {
    store.close();
  }
}
