package dev.vireo.sim.store;

import dev.vireo.controller.store.Change;
import dev.vireo.controller.store.Entry;
import dev.vireo.controller.store.Listing;
import dev.vireo.controller.store.StoreException;
import dev.vireo.controller.store.Write;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** What a store has made durable: all versions of all keys, back to the last compaction. */
public final class SimDisk {
  private final TreeMap<String, Entry> entries = new TreeMap<>();
  private final List<Change> changes = new ArrayList<>();
  private final List<Consumer<Change>> listeners = new ArrayList<>();
  private long version;
  private long oldestVersion;
  private long commits;
  private boolean full;
  private double answersLost;

  /** Whether writes fail from now on. */
  public void setFull(boolean full) {
    this.full = full;
  }

  /** How many of the commits, 0 to 1, are done and said to have failed, as etcd's may be. */
  public void setAnswersLost(double share) {
    this.answersLost = share;
  }

  boolean isFull() {
    return full;
  }

  long version() {
    return version;
  }

  double answersLost() {
    return answersLost;
  }

  /** Durable writes so far. */
  public long commits() {
    return commits;
  }

  Optional<Entry> get(String key) {
    return Optional.ofNullable(entries.get(key));
  }

  /** Tells of every change in the moment that it is durable. */
  public void listen(Consumer<Change> listener) {
    listeners.add(listener);
  }

  /** All entries under a prefix, by key. */
  public List<Entry> entries(String prefix) {
    return entries.tailMap(prefix).values().stream()
        .takeWhile(entry -> entry.key().startsWith(prefix))
        .toList();
  }

  Listing list(String prefix) {
    return new Listing(entries(prefix), version, oldestVersion);
  }

  /** Forgets what has changed so far. */
  public void compact() {
    oldestVersion = version;
    changes.clear();
  }

  /**
   * Does all the writes, or none of them.
   *
   * @return what changed, each of the same version
   * @throws StoreException.Conflict and does nothing
   * @throws StoreException.Unavailable and does nothing, when the disk is full
   */
  public List<Change> commit(List<Write> writes) {
    if (full) {
      throw StoreException.unavailable("no space left on the simulated disk");
    }
    Set<String> conflicts = new HashSet<>();
    for (Write write : writes) {
      Entry entry = entries.get(write.key());
      if ((entry == null ? Write.ABSENT : entry.version()) != write.expectedVersion()) {
        conflicts.add(write.key());
      }
    }
    if (!conflicts.isEmpty()) {
      throw StoreException.conflict(conflicts);
    }
    version++;
    commits++;
    List<Change> done = writes.stream().map(this::apply).flatMap(Optional::stream).toList();
    publish(done);
    return done;
  }

  /** Removes keys whose time is over, in one version, be the disk as full as it is. */
  List<Change> expire(List<String> keys) {
    version++;
    List<Change> done =
        keys.stream()
            .map(this::get)
            .flatMap(Optional::stream)
            .map(entry -> apply(new Write.Delete(entry.key(), entry.version())))
            .flatMap(Optional::stream)
            .toList();
    publish(done);
    return done;
  }

  private void publish(List<Change> done) {
    changes.addAll(done);
    done.forEach(change -> listeners.forEach(listener -> listener.accept(change)));
  }

  private Optional<Change> apply(Write write) {
    @Nullable Entry before = entries.get(write.key());
    return switch (write) {
      case Write.Put put -> {
        Entry after =
            new Entry(
                put.key(),
                put.value(),
                version,
                before == null ? version : before.createdVersion());
        entries.put(put.key(), after);
        yield Optional.of(new Change.Updated(after));
      }
      case Write.Delete delete -> {
        entries.remove(delete.key());
        if (before == null) {
          throw new IllegalArgumentException("deletes what is not there: " + delete.key());
        }
        yield Optional.of(new Change.Deleted(delete.key(), before.value(), version));
      }
      case Write.Unchanged _ -> Optional.empty();
    };
  }

  List<Change> changesAfter(String prefix, long afterVersion) {
    if (afterVersion < oldestVersion) {
      throw StoreException.compacted(afterVersion, oldestVersion);
    }
    return changes.stream()
        .filter(change -> change.version() > afterVersion && change.key().startsWith(prefix))
        .toList();
  }
}
