package dev.vireo.controller.store;

import dev.vireo.controller.store.StoreException.Compacted;
import io.etcd.jetcd.api.Event;
import io.grpc.Status;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * A watcher of the store's. What has happened already it learns by a watch of its own, and then all
 * else from the store's watch of everything. On the store's thread, but {@link #close}.
 */
final class EtcdSubscription implements Store.Watch, EtcdClient.Events {
  private final String prefix;
  private final Store.Watcher watcher;
  private final CompletableFuture<Store.Watch> begun;
  private final Owner owner;
  private final EtcdClient client;
  private final EtcdKeys keys;
  private final EtcdRetries retries;
  private final long deadline;
  private final List<Change> meanwhile = new ArrayList<>();
  private EtcdClient.@Nullable Stream past;
  private long told;
  private long target;

  /** The store. */
  interface Owner {
    /** The least revision that etcd still has. */
    void compacted(long oldest);

    /** It has not begun, and never will. */
    void failed(EtcdSubscription subscription);

    /** Its watcher wants to hear no more. From any thread. */
    void closed(EtcdSubscription subscription);
  }

  /**
   * @param begun when the watcher has been told of everything until now
   */
  EtcdSubscription(
      String prefix,
      Store.Watcher watcher,
      CompletableFuture<Store.Watch> begun,
      Owner owner,
      EtcdClient client,
      EtcdKeys keys,
      EtcdRetries retries) {
    this.prefix = prefix;
    this.watcher = new GuardedWatcher(prefix, watcher);
    this.begun = begun;
    this.owner = owner;
    this.client = client;
    this.keys = keys;
    this.retries = retries;
    this.deadline = retries.deadline();
  }

  /**
   * First what happened already.
   *
   * @param after the revision that the watcher knows
   * @param position that of which the store has told all its watchers
   */
  void catchUp(long after, long position) {
    told = after;
    target = position;
    if (told >= target) {
      begun.complete(this);
    } else {
      past = client.watch(keys.all(), told + 1, this);
    }
  }

  /** From the watch of everything. */
  void tell(List<Change> changes) {
    List<Change> ours =
        changes.stream()
            .filter(change -> change.key().startsWith(prefix) && change.version() > told)
            .toList();
    if (ours.isEmpty()) {
      return;
    }
    if (begun.isDone()) {
      watcher.onChanges(ours);
    } else {
      meanwhile.addAll(ours);
    }
  }

  @Override
  public void onEvents(List<Event> events) {
    List<Change> ours =
        events.stream()
            .filter(event -> keys.isData(event.getKv().getKey()))
            .filter(event -> event.getKv().getModRevision() <= target)
            .map(keys::change)
            .filter(change -> change.key().startsWith(prefix))
            .toList();
    if (!ours.isEmpty()) {
      watcher.onChanges(ours);
    }
    told = events.getLast().getKv().getModRevision();
    if (told >= target) {
      told = target;
      endPast();
      if (!meanwhile.isEmpty()) {
        watcher.onChanges(List.copyOf(meanwhile));
        meanwhile.clear();
      }
      begun.complete(this);
    }
  }

  @Override
  public void onCompacted(long oldest) {
    owner.compacted(oldest);
    fail(new Compacted(told, oldest));
  }

  @Override
  public void onEnd(Status why) {
    if (retries.isPast(deadline)) {
      fail(retries.unreachable(why));
    } else {
      retries.later(() -> {
        if (!begun.isDone()) {
          past = client.watch(keys.all(), told + 1, this);
        }
      });
    }
  }

  /** Everything there is, instead of what has changed. */
  void startOver(Listing all) {
    endPast();
    meanwhile.clear();
    told = all.version();
    watcher.onListing(
        new Listing(
            all.entries().stream().filter(entry -> entry.key().startsWith(prefix)).toList(),
            all.version(),
            all.oldestVersion()));
    begun.complete(this);
  }

  private void fail(StoreException why) {
    owner.failed(this);
    begun.completeExceptionally(why);
  }

  private void endPast() {
    if (past != null) {
      past.close();
      past = null;
    }
  }

  @Override
  public void close() {
    owner.closed(this);
  }
}
