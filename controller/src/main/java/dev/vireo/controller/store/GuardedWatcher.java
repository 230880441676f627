package dev.vireo.controller.store;

import dev.vireo.controller.store.Store.Watcher;
import java.util.List;
import java.util.function.Consumer;
import org.jboss.logging.Logger;

/**
 * A watcher whose exceptions end here, in the log: on the store's thread they would leave those
 * unanswered who wait for what it was told of, and other watchers untold.
 */
record GuardedWatcher(String prefix, Watcher watcher) implements Watcher {
  private static final Logger LOG = Logger.getLogger(GuardedWatcher.class);

  @Override
  public void onChanges(List<Change> changes) {
    guarded(it -> it.onChanges(changes));
  }

  @Override
  public void onListing(Listing listing) {
    guarded(it -> it.onListing(listing));
  }

  private void guarded(Consumer<Watcher> told) {
    try {
      told.accept(watcher);
    } catch (RuntimeException | Error e) {
      LOG.errorf(e, "store: the watcher of '%s' failed, and may have missed changes", prefix);
    }
  }
}
