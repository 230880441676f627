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
  private static final String NONE = "/no such key";

  private boolean failing;
  private boolean losing;
  private String lastKey = NONE;
  private boolean silent;
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

  /** The next commit is surely not done. */
  public synchronized void failNext() {
    failing = true;
  }

  /** The next commit that writes such a key is lost, and nothing is answered from then on. */
  public synchronized void fallSilentAt(String keySuffix) {
    lastKey = keySuffix;
  }

  /** What was lost last is done at last. */
  public synchronized void answerAgain() {
    silent = false;
  }

  @Override
  public synchronized CompletableFuture<Long> commit(List<Write> writes) {
    if (writes.stream().anyMatch(write -> write.key().endsWith(lastKey))) {
      lastKey = NONE;
      silent = true;
      late = writes;
    }
    if (silent) {
      return CompletableFuture.failedFuture(StoreException.outcomeUnknown("it is not known"));
    }
    if (failing) {
      failing = false;
      return CompletableFuture.failedFuture(StoreException.unavailable("the disk is full"));
    }
    if (losing) {
      losing = false;
      late = doing ? writes : List.of();
      return CompletableFuture.failedFuture(StoreException.outcomeUnknown("it is not known"));
    }
    return late().thenCompose(_ -> super.commit(writes));
  }

  @Override
  public synchronized CompletableFuture<Void> barrier() {
    if (silent) {
      return CompletableFuture.failedFuture(StoreException.unavailable("no answer"));
    }
    return late().thenCompose(_ -> super.barrier());
  }

  private CompletableFuture<?> late() {
    List<Write> first = late;
    late = List.of();
    return first.isEmpty()
        ? CompletableFuture.completedFuture(null)
        : super.commit(first).handle((_, _) -> null);
  }
}
