package dev.vireo.controller.testing;

import dev.vireo.controller.store.ForwardingStore;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.StoreException;
import dev.vireo.controller.store.Write;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/**
 * A store that does a commit after it has said that its outcome is not known: just before the next
 * one, or never.
 */
public final class LateStore extends ForwardingStore {
  private boolean losing;
  private boolean doing;
  private List<Write> late = List.of();

  public LateStore(Store store) {
    super(store);
  }

  /**
   * The next commit fails.
   *
   * @param done whether it is done all the same
   */
  public synchronized void loseNext(boolean done) {
    losing = true;
    doing = done;
  }

  @Override
  public synchronized CompletableFuture<Long> commit(List<Write> writes) {
    if (losing) {
      losing = false;
      late = doing ? writes : List.of();
      return CompletableFuture.failedFuture(StoreException.unavailable("it is not known"));
    }
    if (late.isEmpty()) {
      return super.commit(writes);
    }
    List<Write> first = late;
    late = List.of();
    return super.commit(first).handle((_, _) -> writes).thenCompose(super::commit);
  }
}
