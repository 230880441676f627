package dev.vireo.controller.microvm;

import static dev.vireo.controller.store.Store.await;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.store.Change;
import dev.vireo.controller.store.Entry;
import dev.vireo.controller.store.Lifetime;
import dev.vireo.controller.store.Listing;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.StoreException;
import dev.vireo.controller.store.StoreException.Conflict;
import dev.vireo.controller.store.StoreException.OutcomeUnknown;
import dev.vireo.controller.store.Write;
import dev.vireo.proto.store.v1.MicroVmRecord;
import dev.vireo.proto.store.v1.RequestRecord;
import dev.vireo.proto.store.v1.TombstoneRecord;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentNavigableMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Every microVM there is: an image of the store, kept current by its watch, and the way to change
 * it.
 *
 * <p>Reading is from memory and never waits. A write returns when it is durable and this image
 * shows it. Listeners are told on the store's thread, in order, and must not block.
 */
public final class MicroVms implements AutoCloseable {
  private static final String REQUESTS = "requests/";

  /** How many removed microVMs are remembered for watches that resume. */
  private static final int REMOVED_KEPT = 10_000;

  /** Of a page's microVMs, unless it is one alone: clients take 4 MiB, if not told otherwise. */
  private static final int PAGE_BYTES = 2 << 20;

  private final Store store;
  private final Duration requestLifetime;
  private final ConcurrentNavigableMap<String, StoredMicroVm> byKey = new ConcurrentSkipListMap<>();
  private final ConcurrentHashMap<String, StoredMicroVm> byUid = new ConcurrentHashMap<>();

  /** Uids by the id of the node that they are assigned to. */
  private final ConcurrentHashMap<String, Set<String>> byNode = new ConcurrentHashMap<>();

  private final ConcurrentHashMap<String, List<Waiter>> waiters = new ConcurrentHashMap<>();
  private final List<Consumer<MicroVmChange>> listeners = new CopyOnWriteArrayList<>();
  private final List<Consumer<String>> doubtListeners = new CopyOnWriteArrayList<>();
  private final Doubts doubts = new Doubts();
  private final Store.Watch watch;
  private volatile boolean stopping;

  /** Guards what follows, and that a feed misses nothing and sees nothing twice. */
  private final Object feedLock = new Object();

  private final List<ChangeFeed> feeds = new ArrayList<>();
  private final Deque<MicroVmChange.Removed> removed = new ArrayDeque<>();
  private final List<Awaited> awaited = new ArrayList<>();
  private long version;
  private long changedVersion;
  private long oldestVersion;

  /** Somebody waits for the image to be as new. */
  private record Awaited(long version, CompletableFuture<Void> reached) {}

  private record Waiter(
      Predicate<Optional<StoredMicroVm>> until,
      CompletableFuture<Optional<StoredMicroVm>> reached) {
    void fail() {
      reached.completeExceptionally(StoreException.unavailable("the controller is stopping"));
    }
  }

  /** One page of a list. */
  public record Page(List<StoredMicroVm> microVms, boolean more) {}

  /** What {@link #update} shall do with the microVM it was shown. */
  public sealed interface Verdict {
    record Put(MicroVmRecord record) implements Verdict {}

    record Remove() implements Verdict {}

    /** Leave it as it is, and what would be written beside it, too. */
    record Keep() implements Verdict {}

    /** Remove it, and remember that its node may still have it. */
    record Bury(TombstoneRecord tombstone) implements Verdict {}
  }

  /** The outcome of {@link #create}. */
  public sealed interface Creation {
    record Created(StoredMicroVm microVm) implements Creation {}

    /** The same request id was answered before. */
    record Repeated(RequestRecord request) implements Creation {}

    record NameTaken() implements Creation {}
  }

  private MicroVms(Store store, Duration requestLifetime) {
    this.store = store;
    this.requestLifetime = requestLifetime;
    Listing listing = await(store.list(MicroVmName.KEY_PREFIX));
    listing.entries().stream()
        .filter(entry -> entry.version() <= listing.oldestVersion())
        .map(StoredMicroVm::of)
        .forEach(this::remember);
    version = listing.version();
    changedVersion = listing.entries().stream().mapToLong(Entry::version).max().orElse(0);
    oldestVersion = listing.oldestVersion();
    // From the oldest version, not the listing's, so that recent removals are known too.
    watch = await(store.watch(MicroVmName.KEY_PREFIX, listing.oldestVersion(), new Image()));
  }

  /**
   * Reads everything and goes on watching.
   *
   * @param requestLifetime how long a create can be retried by its request id
   */
  public static MicroVms open(Store store, Duration requestLifetime) {
    while (true) {
      try {
        return new MicroVms(store, requestLifetime);
      } catch (StoreException.Compacted _) {
        // The store has forgotten what it had when it was listed: once more.
      }
    }
  }

  @Override
  public void close() {
    watch.close();
  }

  // ---- reading

  public Optional<StoredMicroVm> find(MicroVmName name) {
    return Optional.ofNullable(byKey.get(name.key()));
  }

  /** Whether the store has a microVM of this name now: the image may be a little behind. */
  public boolean isStored(MicroVmName name) {
    return await(store.get(name.key())).isPresent();
  }

  public Optional<StoredMicroVm> findByUid(String uid) {
    return Optional.ofNullable(byUid.get(uid));
  }

  /** Those that are assigned to a node, in no order. */
  public List<StoredMicroVm> on(String nodeId) {
    return byNode.getOrDefault(nodeId, Set.of()).stream()
        .map(this::findByUid)
        .flatMap(Optional::stream)
        .filter(microVm -> Lifecycle.isOn(nodeId, microVm.microVm()))
        .toList();
  }

  /** All of them, as they are while they are gone through. */
  public Collection<StoredMicroVm> all() {
    return Collections.unmodifiableCollection(byKey.values());
  }

  /** Up to {@code size} that match, by name, after {@code after}; fewer if they are large. */
  public Page page(Selection selection, Optional<MicroVmName> after, int size) {
    List<StoredMicroVm> page = new ArrayList<>();
    long bytes = 0;
    String start = after.map(MicroVmName::key).orElse(selection.keyPrefix());
    for (StoredMicroVm microVm : byKey.tailMap(start, false).values()) {
      if (!microVm.key().startsWith(selection.keyPrefix())) {
        break;
      }
      if (selection.matches(microVm)) {
        bytes += microVm.microVm().getSerializedSize();
        if (page.size() == size || (bytes > PAGE_BYTES && !page.isEmpty())) {
          return new Page(page, true);
        }
        page.add(microVm);
      }
    }
    return new Page(page, false);
  }

  /** Of the last change that this image shows. */
  public long version() {
    synchronized (feedLock) {
      return version;
    }
  }

  /** Of the last change to a microVM that this image shows, as far as it knows of one. */
  public long changedVersion() {
    synchronized (feedLock) {
      return changedVersion;
    }
  }

  /** Completes when this image shows everything up to a version, now or later. */
  public CompletableFuture<Void> reached(long until) {
    synchronized (feedLock) {
      if (until <= version) {
        return CompletableFuture.completedFuture(null);
      }
      Awaited one = new Awaited(until, new CompletableFuture<>());
      awaited.add(one);
      CompletableFuture<?> _ = one.reached.whenComplete((_, _) -> giveUp(one));
      return one.reached;
    }
  }

  private void giveUp(Awaited one) {
    synchronized (feedLock) {
      awaited.remove(one);
    }
  }

  // ---- watching

  /** Tells of every change from now on, on the store's thread. */
  public void listen(Consumer<MicroVmChange> listener) {
    listeners.add(listener);
  }

  /**
   * Opens a feed of changes, which begins with everything that exists ({@code after} 0) or with
   * what has changed since a version.
   *
   * @throws StoreException.Compacted when that version is no longer known, or is not yet
   */
  public ChangeFeed feed(Selection selection, long after, int capacity) {
    synchronized (feedLock) {
      if (after != 0 && (after < oldestVersion || after > version)) {
        throw StoreException.compacted(after, oldestVersion);
      }
      List<MicroVmChange> missed = new ArrayList<>();
      for (StoredMicroVm microVm : byKey.values()) {
        if (microVm.version() > after) {
          missed.add(
              microVm.createdVersion() > after
                  ? new MicroVmChange.Added(microVm)
                  : new MicroVmChange.Modified(microVm));
        }
      }
      if (after != 0) {
        removed.stream()
            .filter(change -> change.version() > after)
            .filter(change -> change.microVm().createdVersion() <= after)
            .forEach(missed::add);
      }
      missed.removeIf(change -> !selection.matches(change.microVm()));
      missed.sort(Comparator.comparingLong(MicroVmChange::version));
      ChangeFeed feed = new ChangeFeed(selection, told(missed), version, capacity, this::drop);
      feeds.add(feed);
      return feed;
    }
  }

  /** In the order of their versions. */
  private static List<ChangeFeed.Told> told(List<MicroVmChange> changes) {
    List<ChangeFeed.Told> told = new ArrayList<>(changes.size());
    for (int i = 0; i < changes.size(); i++) {
      boolean last =
          i + 1 == changes.size() || changes.get(i + 1).version() != changes.get(i).version();
      told.add(ChangeFeed.Told.of(changes.get(i), last));
    }
    return told;
  }

  private void drop(ChangeFeed feed) {
    synchronized (feedLock) {
      feeds.remove(feed);
    }
  }

  /** How many feeds are open. */
  public int feeds() {
    synchronized (feedLock) {
      return feeds.size();
    }
  }

  /**
   * Completes when the microVM (empty: gone) is as {@code until} says, now or later; fails with
   * {@link StoreException.Unavailable} if the controller stops before.
   */
  public CompletableFuture<Optional<StoredMicroVm>> when(
      String uid, Predicate<Optional<StoredMicroVm>> until) {
    Waiter waiter = new Waiter(until, new CompletableFuture<>());
    waiters.compute(
        uid,
        (_, list) -> {
          List<Waiter> longer = list == null ? new ArrayList<>() : new ArrayList<>(list);
          longer.add(waiter);
          return longer;
        });
    CompletableFuture<?> _ = waiter.reached.whenComplete((_, _) -> forget(uid, waiter));
    Optional<StoredMicroVm> now = findByUid(uid);
    if (until.test(now)) {
      waiter.reached.complete(now);
    }
    if (stopping) {
      waiter.fail();
    }
    return waiter.reached;
  }

  /** Fails every wait, those to come too: a call that waits would hold up the end of the server. */
  public void endWaits() {
    stopping = true;
    waiters.values().forEach(list -> list.forEach(Waiter::fail));
  }

  private void forget(String uid, Waiter waiter) {
    waiters.computeIfPresent(
        uid,
        (_, list) -> {
          List<Waiter> shorter = new ArrayList<>(list);
          shorter.remove(waiter);
          return shorter.isEmpty() ? null : shorter;
        });
  }

  // ---- writing

  /** Makes a microVM, durable on return, unless its name or its request id exists. */
  public Creation create(
      MicroVmName name, MicroVmRecord record, String requestId, RequestRecord request) {
    String uid = record.getMicrovm().getMeta().getUid();
    List<Write> writes = new ArrayList<>();
    writes.add(new Write.Put(name.key(), Write.ABSENT, record.toByteString()));
    String requestKey = REQUESTS + requestId;
    if (!requestId.isEmpty()) {
      writes.add(
          new Write.Put(
              requestKey,
              Write.ABSENT,
              request.toByteString(),
              new Lifetime.AtLeast(requestLifetime)));
    }
    while (true) {
      try {
        long committed = commit(List.of(uid), writes);
        return new Creation.Created(StoredMicroVm.of(record, committed, committed));
      } catch (Conflict conflict) {
        if (!conflict.keys().contains(requestKey)) {
          return new Creation.NameTaken();
        }
        Optional<RequestRecord> earlier = request(requestId);
        if (earlier.isPresent()) {
          return new Creation.Repeated(earlier.get());
        }
        // It was taken back meanwhile, and its microVM with it: so this one may be made after all.
      }
    }
  }

  /** The request that was answered under this id, while that can be retried. */
  public Optional<RequestRecord> request(String requestId) {
    return await(store.get(REQUESTS + requestId)).map(MicroVms::requestRecord);
  }

  /**
   * Changes a microVM: shows it to {@code change} and does what that says, durably, again from the
   * start as long as somebody else is quicker.
   *
   * @return the microVM after it; of a removed one the last; empty if there is none of this uid
   */
  public Optional<StoredMicroVm> update(String uid, Function<StoredMicroVm, Verdict> change) {
    return update(uid, change, Optional::empty);
  }

  /**
   * The same, for a microVM whose create was answered with an error after all: its request is
   * forgotten in the same commit, so that it can be made again; not with {@link Verdict.Keep}.
   *
   * @param requestId may be empty
   */
  public Optional<StoredMicroVm> takeBack(
      String uid, String requestId, Function<StoredMicroVm, Verdict> change) {
    return update(uid, change, () -> forgetting(requestId, uid));
  }

  private Optional<Write> forgetting(String requestId, String uid) {
    return requestId.isEmpty()
        ? Optional.empty()
        : await(store.get(REQUESTS + requestId))
            .filter(entry -> requestRecord(entry).getAnswer().getMeta().getUid().equals(uid))
            .map(entry -> new Write.Delete(entry.key(), entry.version()));
  }

  /**
   * Changes several microVMs in one commit: all of them, or none.
   *
   * @param change of those that are there, in the order of the uids: the records that they shall
   *     have, or none at all to change nothing
   * @return whether they were changed
   */
  public boolean updateTogether(
      List<String> uids, Function<List<StoredMicroVm>, List<MicroVmRecord>> change) {
    while (true) {
      List<StoredMicroVm> before =
          uids.stream().map(this::findByUid).flatMap(Optional::stream).toList();
      List<MicroVmRecord> after = change.apply(before);
      if (after.isEmpty()) {
        return false;
      }
      List<Write> writes = new ArrayList<>();
      for (int i = 0; i < before.size(); i++) {
        StoredMicroVm microVm = before.get(i);
        writes.add(new Write.Put(microVm.key(), microVm.version(), after.get(i).toByteString()));
      }
      try {
        var _ = commit(before.stream().map(StoredMicroVm::uid).toList(), writes);
        return true;
      } catch (Conflict _) {
        // Somebody else was quicker, and the image shows it already.
      }
    }
  }

  private Optional<StoredMicroVm> update(
      String uid, Function<StoredMicroVm, Verdict> change, Supplier<Optional<Write>> beside) {
    while (true) {
      StoredMicroVm before = byUid.get(uid);
      if (before == null) {
        return Optional.empty();
      }
      try {
        return Optional.of(write(before, change.apply(before), beside.get()));
      } catch (Conflict _) {
        // Somebody else was quicker, and the image shows it already.
      }
    }
  }

  private StoredMicroVm write(StoredMicroVm before, Verdict verdict, Optional<Write> beside) {
    List<Write> writes = new ArrayList<>();
    beside.ifPresent(writes::add);
    return switch (verdict) {
      case Verdict.Put(MicroVmRecord record) -> {
        if (record.equals(before.record()) && beside.isEmpty()) {
          yield before;
        }
        writes.add(new Write.Put(before.key(), before.version(), record.toByteString()));
        long committed = commit(List.of(before.uid()), writes);
        yield StoredMicroVm.of(record, committed, before.createdVersion());
      }
      case Verdict.Remove() -> {
        writes.add(new Write.Delete(before.key(), before.version()));
        var _ = commit(List.of(before.uid()), writes);
        yield before;
      }
      case Verdict.Keep() -> before;
      case Verdict.Bury(TombstoneRecord tombstone) -> {
        writes.add(new Write.Delete(before.key(), before.version()));
        writes.add(Tombstones.write(tombstone));
        var _ = commit(List.of(before.uid()), writes);
        yield before;
      }
    };
  }

  // ---- commits that fail without an answer

  private long commit(List<String> uids, List<Write> writes) {
    long number = doubts.begin();
    try {
      long committed = await(store.commit(writes));
      answered(number);
      return committed;
    } catch (Conflict e) {
      answered(number);
      throw e;
    } catch (OutcomeUnknown e) {
      doubts.add(uids);
      throw e;
    }
  }

  private void answered(long commit) {
    doubts
        .answered(commit)
        .forEach(uid -> doubtListeners.forEach(listener -> listener.accept(uid)));
  }

  /**
   * Whether a commit about this microVM has failed and may have been done, or may yet be: what it
   * was to have must not go to another.
   */
  public boolean isInDoubt(String uid) {
    return doubts.contains(uid);
  }

  /** Tells of each microVM that is in doubt no more, its uid, on the thread that has found out. */
  public void listenToDoubts(Consumer<String> listener) {
    doubtListeners.add(listener);
  }

  /**
   * Finds out about all that are in doubt, if any are, whether this controller leads or not.
   *
   * @return whether there were any
   * @throws StoreException.Unavailable if the store does not answer now either
   */
  public boolean settleDoubts() {
    if (doubts.isEmpty()) {
      return false;
    }
    long number = doubts.begin();
    await(store.barrier());
    answered(number);
    return true;
  }

  // ---- the image, on the store's thread

  private final class Image implements Store.Watcher {
    @Override
    public void onChanges(List<Change> changes) {
      apply(changes);
    }

    @Override
    public void onListing(Listing listing) {
      apply(listing.changesSince(byKey.values().stream().map(StoredMicroVm::entry).toList()));
    }
  }

  private void apply(List<Change> changes) {
    List<MicroVmChange> seen = new ArrayList<>(changes.size());
    List<Awaited> reached;
    synchronized (feedLock) {
      for (Change change : changes) {
        MicroVmChange known = apply(change);
        seen.add(known);
        version = Math.max(version, known.version());
        changedVersion = Math.max(changedVersion, known.version());
      }
      for (ChangeFeed.Told told : told(seen)) {
        feeds.removeIf(feed -> !feed.offer(told));
      }
      reached = awaited.stream().filter(one -> one.version <= version).toList();
    }
    reached.forEach(one -> one.reached.complete(null));
    for (MicroVmChange change : seen) {
      wake(change);
      listeners.forEach(listener -> listener.accept(change));
    }
  }

  private MicroVmChange apply(Change change) {
    return switch (change) {
      case Change.Updated(Entry entry) -> {
        StoredMicroVm microVm = StoredMicroVm.of(entry);
        remember(microVm);
        yield entry.version() == entry.createdVersion()
            ? new MicroVmChange.Added(microVm)
            : new MicroVmChange.Modified(microVm);
      }
      case Change.Deleted deleted -> {
        StoredMicroVm last = forget(deleted);
        MicroVmChange.Removed gone = new MicroVmChange.Removed(last, deleted.version());
        removed.addLast(gone);
        if (removed.size() > REMOVED_KEPT) {
          oldestVersion = removed.removeFirst().version();
        }
        yield gone;
      }
    };
  }

  private void remember(StoredMicroVm microVm) {
    byKey.put(microVm.key(), microVm);
    StoredMicroVm before = byUid.put(microVm.uid(), microVm);
    Optional<String> left = Optional.ofNullable(before).flatMap(m -> Lifecycle.nodeId(m.microVm()));
    Optional<String> node = Lifecycle.nodeId(microVm.microVm());
    if (!left.equals(node)) {
      left.ifPresent(id -> takeOff(id, microVm.uid()));
      node.ifPresent(
          id -> byNode.computeIfAbsent(id, _ -> ConcurrentHashMap.newKeySet()).add(microVm.uid()));
    }
  }

  /** Only one thread at a time writes. */
  private void takeOff(String nodeId, String uid) {
    Set<String> uids = byNode.get(nodeId);
    if (uids != null && uids.remove(uid) && uids.isEmpty()) {
      byNode.remove(nodeId);
    }
  }

  private StoredMicroVm forget(Change.Deleted deleted) {
    StoredMicroVm known = byKey.remove(deleted.key());
    StoredMicroVm last =
        known != null
            ? known
            : StoredMicroVm.of(new Entry(deleted.key(), deleted.lastValue(), deleted.version(), 0));
    byUid.remove(last.uid());
    Lifecycle.nodeId(last.microVm()).ifPresent(id -> takeOff(id, last.uid()));
    return last;
  }

  private void wake(MicroVmChange change) {
    @Nullable List<Waiter> waiting = waiters.get(change.microVm().uid());
    if (waiting != null) {
      Optional<StoredMicroVm> now = change.present();
      waiting.stream()
          .filter(waiter -> waiter.until.test(now))
          .forEach(waiter -> waiter.reached.complete(now));
    }
  }

  private static RequestRecord requestRecord(Entry entry) {
    try {
      return RequestRecord.parseFrom(entry.value());
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalStateException("not a request's record: " + entry.key(), e);
    }
  }
}
