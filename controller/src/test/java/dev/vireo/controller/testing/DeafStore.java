package dev.vireo.controller.testing;

import dev.vireo.controller.store.Change;
import dev.vireo.controller.store.ForwardingStore;
import dev.vireo.controller.store.Listing;
import dev.vireo.controller.store.Store;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;

/** A store whose watchers can be cut off, and are given a listing when they hear again. */
public final class DeafStore extends ForwardingStore {
  private final List<Ear> ears = new CopyOnWriteArrayList<>();
  private volatile boolean deaf;

  public DeafStore(Store store) {
    super(store);
  }

  /** From now on no watcher is told. */
  public void cutOff() {
    deaf = true;
  }

  /** Each watcher is given what there is now, and is told again. */
  public void hearAgain() {
    deaf = false;
    ears.forEach(ear -> list(ear.prefix).thenAccept(ear::onListing).join());
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
    return super.watch(prefix, afterVersion, ear);
  }
}
