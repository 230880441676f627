package dev.vireo.controller.microvm;

import static dev.vireo.controller.store.Store.await;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.vireo.controller.store.Change;
import dev.vireo.controller.store.Entry;
import dev.vireo.controller.store.Listing;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.StoreException.Conflict;
import dev.vireo.controller.store.Write;
import dev.vireo.proto.store.v1.TombstoneRecord;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ConcurrentNavigableMap;
import java.util.concurrent.ConcurrentSkipListMap;

/**
 * What nodes that were gone may still run of microVMs that are deleted: an image of the store. A
 * tombstone is made in the commit that removes its microVM ({@link MicroVms.Verdict.Bury}).
 */
public final class Tombstones implements AutoCloseable {
  private static final String KEY_PREFIX = "tombstones/";

  private final Store store;
  private final ConcurrentNavigableMap<String, Entry> byKey = new ConcurrentSkipListMap<>();
  private final Store.Watch watch;

  private Tombstones(Store store) {
    this.store = store;
    Listing listing = await(store.list(KEY_PREFIX));
    listing.entries().forEach(entry -> byKey.put(entry.key(), entry));
    watch = await(store.watch(KEY_PREFIX, listing.version(), new Image()));
  }

  public static Tombstones open(Store store) {
    return new Tombstones(store);
  }

  @Override
  public void close() {
    watch.close();
  }

  static Write write(TombstoneRecord tombstone) {
    return new Write.Put(KEY_PREFIX + tombstone.getUid(), Write.ABSENT, tombstone.toByteString());
  }

  /** All of them, by uid. */
  public List<TombstoneRecord> all() {
    return byKey.values().stream().map(Tombstones::record).toList();
  }

  public boolean isEmpty() {
    return byKey.isEmpty();
  }

  /** How many there are. */
  public int size() {
    return byKey.size();
  }

  /** That of a microVM. */
  public Optional<TombstoneRecord> find(String uid) {
    return Optional.ofNullable(byKey.get(KEY_PREFIX + uid)).map(Tombstones::record);
  }

  /** The node has nothing left of it, if there was one. Durable on return. */
  public void remove(String uid) {
    Entry entry = byKey.get(KEY_PREFIX + uid);
    if (entry == null) {
      return;
    }
    try {
      await(store.commit(List.of(new Write.Delete(entry.key(), entry.version()))));
    } catch (Conflict _) {
      // Somebody else has removed it: it is never changed.
    }
  }

  private static TombstoneRecord record(Entry entry) {
    try {
      return TombstoneRecord.parseFrom(entry.value());
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalStateException("not a tombstone: " + entry.key(), e);
    }
  }

  private final class Image implements Store.Watcher {
    @Override
    public void onChanges(List<Change> changes) {
      apply(changes);
    }

    @Override
    public void onListing(Listing listing) {
      apply(listing.changesSince(List.copyOf(byKey.values())));
    }
  }

  private void apply(List<Change> changes) {
    for (Change change : changes) {
      switch (change) {
        case Change.Updated(Entry entry) -> byKey.put(entry.key(), entry);
        case Change.Deleted deleted -> byKey.remove(deleted.key());
      }
    }
  }
}
