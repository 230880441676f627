package dev.vireo.controller.quota;

import static dev.vireo.controller.store.Store.await;

import com.google.protobuf.Timestamp;
import dev.vireo.controller.microvm.MicroVmChange;
import dev.vireo.controller.microvm.MicroVmName;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.store.Change;
import dev.vireo.controller.store.Listing;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.StoreException.Conflict;
import dev.vireo.controller.store.Write;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.proto.store.v1.QuotaRecord;
import dev.vireo.proto.time.Timestamps;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.Quota;
import dev.vireo.proto.v1.QuotaSpec;
import dev.vireo.proto.v1.ResourceMeta;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * Every project's quota, and what the project has: all its microVMs, and those that are on their
 * way to the store, which {@link #take take} their share before they set off.
 */
public final class Quotas implements AutoCloseable {
  private final Store store;
  private final MicroVms microVms;
  private final TimeSource time;
  private final Supplier<UUID> uuids;
  private final Store.Watch watch;

  /** Guards what follows. */
  private final Object lock = new Object();

  private final Map<String, StoredQuota> byProject = new HashMap<>();
  private final Map<String, Share> used = new HashMap<>();
  private final Map<String, Taken> byUid = new HashMap<>();

  private record Taken(String project, Share share) {}

  private Quotas(Store store, MicroVms microVms, TimeSource time, Supplier<UUID> uuids) {
    this.store = store;
    this.microVms = microVms;
    this.time = time;
    this.uuids = uuids;
    Listing listing = await(store.list(StoredQuota.KEY_PREFIX));
    replace(listing);
    watch = await(store.watch(StoredQuota.KEY_PREFIX, listing.version(), new Image()));
    microVms.listen(this::onChange);
    microVms.listenToDoubts(this::settle);
    microVms.all().forEach(microVm -> settle(microVm.uid()));
  }

  public static Quotas open(Store store, MicroVms microVms, TimeSource time, Supplier<UUID> uuids) {
    return new Quotas(store, microVms, time, uuids);
  }

  @Override
  public void close() {
    watch.close();
  }

  /**
   * Takes a new microVM's share, if the quota allows for it. To be {@link #settle settled} once the
   * microVM is durable, or has come to nothing.
   *
   * @return what would be exceeded, in words; empty if the share was taken
   */
  public List<String> take(String project, String uid, MicroVmSpec spec) {
    synchronized (lock) {
      List<String> exceeded = exceeded(project, Share.of(spec));
      if (exceeded.isEmpty()) {
        put(uid, new Taken(project, Share.of(spec)));
      }
      return exceeded;
    }
  }

  /** What a new microVM would exceed now, in words. */
  public List<String> exceededBy(String project, MicroVmSpec spec) {
    synchronized (lock) {
      return exceeded(project, Share.of(spec));
    }
  }

  private List<String> exceeded(String project, Share more) {
    return used.getOrDefault(project, Share.NONE).exceeded(find(project).limits(), more);
  }

  /**
   * Makes the books say of a microVM what the store says; not yet of one that is {@linkplain
   * MicroVms#isInDoubt in doubt}.
   */
  public void settle(String uid) {
    synchronized (lock) {
      if (microVms.isInDoubt(uid)) {
        return;
      }
      microVms
          .findByUid(uid)
          .ifPresentOrElse(microVm -> put(uid, taken(microVm)), () -> giveBack(uid));
    }
  }

  private void onChange(MicroVmChange change) {
    synchronized (lock) {
      String uid = change.microVm().uid();
      change.present().ifPresentOrElse(microVm -> put(uid, taken(microVm)), () -> giveBack(uid));
    }
  }

  private static Taken taken(StoredMicroVm microVm) {
    return new Taken(
        MicroVmName.parse(microVm.name()).orElseThrow().project(),
        Share.of(microVm.microVm().getSpec()));
  }

  private void put(String uid, Taken taken) {
    if (taken.equals(byUid.get(uid))) {
      return;
    }
    giveBack(uid);
    byUid.put(uid, taken);
    used.merge(taken.project, taken.share, Share::plus);
  }

  private void giveBack(String uid) {
    Taken taken = byUid.remove(uid);
    if (taken != null) {
      used.computeIfPresent(
          taken.project,
          (_, before) -> {
            Share after = before.minus(taken.share);
            return after.equals(Share.NONE) ? null : after;
          });
    }
  }

  /** A project's quota; one that limits nothing, if it was never set. */
  public StoredQuota get(String project) {
    synchronized (lock) {
      return find(project);
    }
  }

  private StoredQuota find(String project) {
    StoredQuota quota = byProject.get(project);
    return quota == null ? StoredQuota.unset(project) : quota;
  }

  /** What clients see. */
  public Quota view(StoredQuota stored) {
    Quota.Builder quota = stored.quota().toBuilder();
    quota.getMetaBuilder().setResourceVersion(stored.version()).setEtag(stored.etag());
    synchronized (lock) {
      quota.setStatus(used.getOrDefault(stored.project(), Share.NONE).toStatus());
    }
    return quota.build();
  }

  /**
   * Sets a project's limits. Durable on return.
   *
   * @param check throws if the quota is not what the client takes it for
   */
  public StoredQuota set(String project, QuotaSpec limits, Consumer<StoredQuota> check) {
    while (true) {
      StoredQuota before = get(project);
      check.accept(before);
      if (limits.equals(before.limits())) {
        return before;
      }
      Quota after = changed(before, limits);
      QuotaRecord record = QuotaRecord.newBuilder().setQuota(after).build();
      try {
        long version =
            await(
                store.commit(
                    List.of(new Write.Put(before.key(), before.version(), record.toByteString()))));
        return new StoredQuota(project, after, version);
      } catch (Conflict _) {
        // Somebody else was quicker, and the image shows it already.
      }
    }
  }

  private Quota changed(StoredQuota before, QuotaSpec limits) {
    Quota.Builder after = before.quota().toBuilder().setSpec(limits);
    ResourceMeta.Builder meta = after.getMetaBuilder();
    Instant now = time.now();
    Timestamp timestamp = Timestamps.of(now);
    if (before.version() == Write.ABSENT) {
      meta.setUid(uuids.get().toString()).setCreateTime(timestamp);
    }
    meta.setGeneration(meta.getGeneration() + 1).setUpdateTime(timestamp);
    return after.build();
  }

  private final class Image implements Store.Watcher {
    @Override
    public void onChanges(List<Change> changes) {
      apply(changes);
    }

    @Override
    public void onListing(Listing listing) {
      replace(listing);
    }
  }

  private void replace(Listing listing) {
    synchronized (lock) {
      byProject.clear();
      listing.entries().stream()
          .map(StoredQuota::of)
          .forEach(quota -> byProject.put(quota.project(), quota));
    }
  }

  private void apply(List<Change> changes) {
    synchronized (lock) {
      for (Change change : changes) {
        switch (change) {
          case Change.Updated updated -> {
            StoredQuota quota = StoredQuota.of(updated.entry());
            byProject.put(quota.project(), quota);
          }
          case Change.Deleted deleted ->
              byProject.remove(deleted.key().substring(StoredQuota.KEY_PREFIX.length()));
        }
      }
    }
  }
}
