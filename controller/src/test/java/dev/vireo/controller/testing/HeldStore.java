package dev.vireo.controller.testing;

import dev.vireo.controller.store.ForwardingStore;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.Write;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Predicate;

/** A store that can be made to leave a commit undone for as long as the test likes. */
public final class HeldStore extends ForwardingStore {
  private boolean holding;
  private Predicate<List<Write>> toHold = _ -> true;
  private CompletableFuture<Void> held = CompletableFuture.completedFuture(null);

  public HeldStore(Store store) {
    super(store);
  }

  /** The next commit waits for {@link #release}. */
  public void holdNext() {
    holdNext(_ -> true);
  }

  /** The next commit of such writes waits for {@link #release}. */
  public synchronized void holdNext(Predicate<List<Write>> which) {
    holding = true;
    toHold = which;
    held = new CompletableFuture<>();
  }

  /** Whether there is one that waits. */
  public synchronized boolean holds() {
    return !holding && !held.isDone();
  }

  public synchronized void release() {
    held.complete(null);
  }

  @Override
  public synchronized CompletableFuture<Long> commit(List<Write> writes) {
    if (!holding || !toHold.test(writes)) {
      return super.commit(writes);
    }
    holding = false;
    return held.thenCompose(_ -> super.commit(writes));
  }
}
