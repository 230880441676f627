package dev.vireo.controller.leader;

import dev.vireo.controller.store.ForwardingStore;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.StoreException;
import dev.vireo.controller.store.StoreException.Conflict;
import dev.vireo.controller.store.StoreException.NotLeader;
import dev.vireo.controller.store.Write;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;

/**
 * A store that only the leader writes to: each commit demands that the leader's key is this term's,
 * so that one that comes late, when another leads, is refused by the store itself as {@link
 * NotLeader} and changes nothing. Everybody may read.
 */
final class FencedStore extends ForwardingStore {
  private final Leadership leadership;

  FencedStore(Store store, Leadership leadership) {
    super(store);
    this.leadership = leadership;
  }

  @Override
  public CompletableFuture<Long> commit(List<Write> writes) {
    OptionalLong fence = leadership.fence();
    if (fence.isEmpty()) {
      return CompletableFuture.failedFuture(StoreException.notLeader());
    }
    List<Write> fenced = new ArrayList<>(writes);
    fenced.add(new Write.Unchanged(LeaderElection.KEY, fence.getAsLong()));
    CompletableFuture<Long> done = new CompletableFuture<>();
    CompletableFuture<?> _ =
        super.commit(fenced)
            .whenComplete((version, error) -> {
              if (error == null) {
                done.complete(version);
              } else {
                done.completeExceptionally(told(error));
              }
            });
    return done;
  }

  private static Throwable told(Throwable error) {
    Throwable cause = StoreException.causeOf(error);
    return cause instanceof Conflict conflict && conflict.keys().contains(LeaderElection.KEY)
        ? StoreException.notLeader()
        : cause;
  }
}
