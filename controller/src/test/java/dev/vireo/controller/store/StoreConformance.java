package dev.vireo.controller.store;

import static java.util.Objects.requireNonNull;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.controller.store.StoreException.Compacted;
import dev.vireo.controller.store.StoreException.Conflict;
import dev.vireo.controller.store.StoreException.LeaseEnded;
import dev.vireo.controller.store.StoreException.TooLarge;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What every {@link Store} promises. Each implementation has a test class that extends this. */
abstract class StoreConformance {
  private Store store;

  /** The store under test. */
  final Store current() {
    return store;
  }

  /** Opens the store of this test, anew or again. */
  abstract Store open();

  /** A short time for a lease. */
  abstract Duration leaseTime();

  /** What leases go by. */
  abstract Instant now();

  /** Lets a little time pass for leases, and the store notice it. */
  abstract void elapse();

  /** After how many deletions the store may forget the oldest. */
  abstract int deletionsKept();

  @BeforeEach
  void openStore() {
    store = open();
  }

  @AfterEach
  void closeStore() {
    store.close();
  }

  private void reopen() {
    store.close();
    store = open();
  }

  // ---- commits

  @Test
  void aPutIsThereWithItsVersion() {
    long version = put("a", Write.ABSENT, "1");

    assertEquals(Optional.of(new Entry("a", bytes("1"), version, version)), get("a"));
    assertEquals(Optional.empty(), get("b"));
  }

  @Test
  void versionsGrowAndTheCreatedVersionStays() {
    long created = put("a", Write.ABSENT, "1");
    long changed = put("a", created, "2");

    assertTrue(changed > created);
    assertEquals(Optional.of(new Entry("a", bytes("2"), changed, created)), get("a"));
  }

  @Test
  void aKeyMadeAgainIsAnotherOne() {
    long first = put("a", Write.ABSENT, "1");
    delete("a", first);
    long second = put("a", Write.ABSENT, "2");

    assertEquals(second, get("a").orElseThrow().createdVersion());
    assertTrue(second > first);
  }

  @Test
  void whoComesSecondIsToldAndChangesNothing() {
    long version = put("a", Write.ABSENT, "1");

    assertEquals(Set.of("a"), conflict(new Write.Put("a", Write.ABSENT, bytes("2"))));
    assertEquals(Set.of("a"), conflict(new Write.Put("a", version + 1, bytes("2"))));
    assertEquals(Set.of("a"), conflict(new Write.Delete("a", version + 1)));
    assertEquals(Set.of("b"), conflict(new Write.Put("b", version, bytes("2"))));
    assertEquals(bytes("1"), get("a").orElseThrow().value());
  }

  @Test
  void aBarrierComesAfterWhatWasAskedBefore() {
    Recorder seen = new Recorder();
    watch("", 0, seen);
    CompletableFuture<Long> before =
        store.commit(List.of(new Write.Put("a", Write.ABSENT, bytes("1"))));
    before.join();

    join(store.barrier());

    assertEquals(List.of(before.join()), versions(seen.changes), "it is no change itself");
  }

  @Test
  void aCommitCanDemandThatAnotherKeyIsUnchanged() {
    long leader = put("leader", Write.ABSENT, "me");
    Recorder seen = new Recorder();
    watch("", leader, seen);

    long done = commit(new Write.Unchanged("leader", leader), new Write.Put("a", 0, bytes("1")));

    assertEquals(List.of(done), versions(seen.changes), "what is unchanged is no change");
    long other = put("leader", leader, "another");
    assertEquals(
        Set.of("leader"),
        conflict(new Write.Unchanged("leader", leader), new Write.Put("a", done, bytes("2"))));
    assertEquals(bytes("1"), get("a").orElseThrow().value());
    delete("leader", other);
    assertEquals(
        Set.of("leader"),
        conflict(new Write.Unchanged("leader", other), new Write.Delete("a", done)));
    commit(new Write.Unchanged("leader", Write.ABSENT), new Write.Delete("a", done));
  }

  @Test
  void aCommitThatChangesNothingIsNone() {
    assertInstanceOf(
        TooLarge.class,
        failure(store.commit(List.of(new Write.Unchanged("leader", Write.ABSENT)))));
  }

  @Test
  void aCommitIsDoneWhollyOrNotAtAll() {
    long version = put("a", Write.ABSENT, "1");

    assertEquals(
        Set.of("a"),
        conflict(
            new Write.Put("b", Write.ABSENT, bytes("1")),
            new Write.Put("a", Write.ABSENT, bytes("1"))));
    assertEquals(Optional.empty(), get("b"));

    long both =
        commit(new Write.Put("b", Write.ABSENT, bytes("1")), new Write.Delete("a", version));
    assertEquals(both, get("b").orElseThrow().version());
    assertEquals(Optional.empty(), get("a"));
  }

  @Test
  void aListIsOfOneMomentAndByKey() {
    put("x/b", Write.ABSENT, "1");
    put("x/a", Write.ABSENT, "2");
    put("x/é", Write.ABSENT, "3");
    put("y/a", Write.ABSENT, "4");
    long last = put("x", Write.ABSENT, "5");

    Listing listing = join(store.list("x/"));

    assertEquals(List.of("x/a", "x/b", "x/é"), listing.entries().stream().map(Entry::key).toList());
    assertEquals(last, listing.version());
  }

  @Test
  void ofManyWhoRaceForAVersionOneWins() {
    long version = put("counter", Write.ABSENT, "0");

    List<CompletableFuture<Long>> racers =
        IntStream.range(0, 50)
            .mapToObj(i ->
                store.commit(List.of(new Write.Put("counter", version, bytes(String.valueOf(i))))))
            .toList();

    long winners = racers.stream().filter(racer -> wins(racer)).count();
    assertEquals(1, winners);
  }

  @Test
  void racingIncrementsAreNeverLost() {
    put("counter", Write.ABSENT, "0");
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      threads.add(Thread.ofVirtual().start(() -> increment("counter", 25)));
    }
    threads.forEach(StoreConformance::joinThread);

    assertEquals(bytes("100"), get("counter").orElseThrow().value());
  }

  private void increment(String key, int times) {
    int done = 0;
    while (done < times) {
      Entry entry = get(key).orElseThrow();
      String next = String.valueOf(Integer.parseInt(entry.value().toStringUtf8()) + 1);
      if (wins(store.commit(List.of(new Write.Put(key, entry.version(), bytes(next)))))) {
        done++;
      }
    }
  }

  // ---- over a restart

  @Test
  void whatWasAnsweredIsThereAfterARestartAndVersionsGoOn() {
    long kept = put("a", Write.ABSENT, "1");
    long deleted = put("b", Write.ABSENT, "1");
    long last = delete("b", deleted);

    reopen();

    assertEquals(Optional.of(new Entry("a", bytes("1"), kept, kept)), get("a"));
    assertEquals(Optional.empty(), get("b"));
    assertTrue(put("c", Write.ABSENT, "1") > last);
  }

  // ---- watching

  @Test
  void aWatchTellsOfWhatComesInOrderAndOnlyUnderItsPrefix() {
    Recorder seen = new Recorder();
    watch("x/", join(store.list("x/")).version(), seen);

    long one = put("x/a", Write.ABSENT, "1");
    put("y/a", Write.ABSENT, "1");
    long two = put("x/a", one, "2");
    long three = delete("x/a", two);

    // The commit's own contract: whoever sees it done finds it seen.
    assertEquals(
        List.of(
            new Change.Updated(new Entry("x/a", bytes("1"), one, one)),
            new Change.Updated(new Entry("x/a", bytes("2"), two, one)),
            new Change.Deleted("x/a", bytes("2"), three)),
        seen.changes);
  }

  @Test
  void aConflictIsAnsweredAfterTheChangeThatCausedItWasSeen() {
    Recorder seen = new Recorder();
    watch("", 0, seen);
    Function<String, CompletableFuture<Integer>> seenAtAnswer =
        value ->
            store
                .commit(List.of(new Write.Put("a", Write.ABSENT, bytes(value))))
                .handle((_, _) -> seen.changes.size());

    CompletableFuture<Integer> one = seenAtAnswer.apply("1");
    CompletableFuture<Integer> two = seenAtAnswer.apply("2");

    assertEquals(1, join(one));
    assertEquals(1, join(two));
  }

  @Test
  void aWatchResumesAfterAnyVersionAlsoAfterARestart() {
    long one = put("a", Write.ABSENT, "1");
    long two = put("b", Write.ABSENT, "1");
    long three = put("a", one, "2");
    long four = delete("b", two);

    reopen();

    assertEquals(List.of(three, four), versions(resume(two)));
    assertEquals(List.of(four), versions(resume(three)));
    assertEquals(List.of(), versions(resume(four)));
    List<Change> fromTheStart = resume(0);
    assertEquals(new Change.Deleted("b", bytes("1"), four), fromTheStart.getLast());
  }

  @Test
  void aWatchThatResumedGoesOn() {
    Recorder seen = new Recorder();
    long one = put("a", Write.ABSENT, "1");
    watch("", 0, seen);
    long two = put("a", one, "2");

    assertEquals(List.of(one, two), versions(seen.changes));
  }

  @Test
  void aWatcherThatThrowsLeavesNoCommitUnansweredAndNoOtherWatcherUntold() {
    long before = put("a", Write.ABSENT, "1");
    Recorder seen = new Recorder();

    CompletableFuture<Store.Watch> watch = store.watch("", 0, new Throwing());
    await().until(watch::isDone);
    watch("", 0, seen);
    CompletableFuture<Long> commit =
        store.commit(List.of(new Write.Put("b", Write.ABSENT, bytes("1"))));
    await().until(commit::isDone);

    assertEquals(List.of(before, join(commit)), versions(seen.changes));
    put("c", Write.ABSENT, "1");
  }

  private static final class Throwing implements Store.Watcher {
    @Override
    public void onChanges(List<Change> changes) {
      throw new IllegalStateException("thrown by this test, as it should be");
    }

    @Override
    public void onListing(Listing listing) {
      throw new IllegalStateException("thrown by this test, as it should be");
    }
  }

  @Test
  void aClosedWatchIsSilent() {
    Recorder seen = new Recorder();
    Store.Watch watch = join(store.watch("", 0, seen));
    watch.close();
    put("a", Write.ABSENT, "1");

    assertEquals(List.of(), seen.changes);
  }

  @Test
  void whoAsksForMoreThanIsKeptIsToldSo() {
    long first = put("first", Write.ABSENT, "1");
    List<CompletableFuture<Long>> deletions = new ArrayList<>();
    for (int i = 0; i < 2 * deletionsKept(); i++) {
      long made = put("k" + i, Write.ABSENT, "");
      deletions.add(store.commit(List.of(new Write.Delete("k" + i, made))));
    }
    deletions.forEach(StoreConformance::join);
    await().until(() -> join(store.list("")).oldestVersion() > first);

    assertInstanceOf(Compacted.class, failure(store.watch("", first, new Recorder())));
    // And can list again, and is told where it can begin.
    Listing listing = join(store.list(""));
    List<Change> since = resume(listing.oldestVersion());
    assertTrue(since.size() >= deletionsKept());
    assertEquals(Optional.of("first"), listing.entries().stream().map(Entry::key).findFirst());
  }

  /** Random commits; whoever watches from any moment ends with exactly what the store has. */
  @Test
  void anImageKeptByAWatchIsTheStore() {
    Random random = new Random(11);
    Map<String, Long> model = new HashMap<>();
    Image early = new Image();
    join(store.watch("", 0, early));
    Image late = new Image();
    for (int step = 0; step < 500; step++) {
      String key = "k" + random.nextInt(20);
      long expected = model.getOrDefault(key, Write.ABSENT);
      if (expected != Write.ABSENT && random.nextInt(3) == 0) {
        delete(key, expected);
        model.remove(key);
      } else {
        model.put(key, put(key, expected, "v" + step));
      }
      if (step == 250) {
        Listing listing = join(store.list(""));
        late.onListing(listing);
        join(store.watch("", listing.version(), late));
      }
    }

    Map<String, Entry> actual = new HashMap<>();
    join(store.list("")).entries().forEach(entry -> actual.put(entry.key(), entry));
    assertEquals(model.keySet(), actual.keySet());
    assertEquals(actual, early.entries);
    assertEquals(actual, late.entries);
  }

  @Test
  void whoListsAgainSeesWhatItMissed() {
    long kept = put("kept", Write.ABSENT, "1");
    long gone = put("gone", Write.ABSENT, "1");
    long changed = put("changed", Write.ABSENT, "1");
    long remade = put("remade", Write.ABSENT, "1");
    List<Entry> image = join(store.list("")).entries();

    delete("gone", gone);
    long changedAt = put("changed", changed, "2");
    delete("remade", remade);
    long remadeAt = put("remade", Write.ABSENT, "2");
    long madeAt = put("made", Write.ABSENT, "1");
    Listing again = join(store.list(""));

    assertEquals(
        List.of(
            new Change.Updated(new Entry("changed", bytes("2"), changedAt, changed)),
            new Change.Deleted("remade", bytes("1"), remadeAt - 1),
            new Change.Updated(new Entry("remade", bytes("2"), remadeAt, remadeAt)),
            new Change.Updated(new Entry("made", bytes("1"), madeAt, madeAt)),
            new Change.Deleted("gone", bytes("1"), again.version())),
        again.changesSince(image));
    assertTrue(kept < changedAt);
  }

  // ---- limits

  @Test
  void aCommitHasItsMostAndNoMore() {
    byte[] half = new byte[Store.MAX_COMMIT_BYTES / 2 - 1];
    Write[] most = new Write[Store.MAX_WRITES];
    for (int i = 0; i < most.length; i++) {
      most[i] = new Write.Put("k" + i, Write.ABSENT, bytes("1"));
    }
    commit(most);
    commit(
        new Write.Put("x", Write.ABSENT, ByteString.copyFrom(half)),
        new Write.Put("y", Write.ABSENT, ByteString.copyFrom(half)));

    assertInstanceOf(TooLarge.class, failure(store.commit(List.of())));
    List<Write> tooMany = new ArrayList<>();
    for (int i = 0; i <= Store.MAX_WRITES; i++) {
      tooMany.add(new Write.Put("n" + i, Write.ABSENT, bytes("1")));
    }
    assertInstanceOf(TooLarge.class, failure(store.commit(tooMany)));
    ByteString tooLong = ByteString.copyFrom(new byte[Store.MAX_COMMIT_BYTES]);
    assertInstanceOf(
        TooLarge.class, failure(store.commit(List.of(new Write.Put("z", Write.ABSENT, tooLong)))));
    assertEquals(Store.MAX_WRITES + 2, join(store.list("")).entries().size());
  }

  // ---- concurrent histories

  /** Several clients at once, on few keys: as if each call had happened at one moment within it. */
  @Test
  void concurrentHistoriesAreLinearizable() {
    History history = History.record(store, new Random(23), 4, 60);

    assertEquals(Optional.empty(), Linearizability.violation(history));
  }

  @Test
  void aStaleReadIsNotLinearizable() {
    History history = History.record(new StaleReads(store), new Random(23), 4, 60);

    assertTrue(Linearizability.violation(history).isPresent());
  }

  // ---- leases

  @Test
  void aLeasedKeyGoesAfterItsLeaseAndNotBefore() {
    AtomicReference<Instant> gone = new AtomicReference<>();
    Recorder seen =
        new Recorder() {
          @Override
          public void onChanges(List<Change> changes) {
            super.onChanges(changes);
            if (changes.getLast() instanceof Change.Deleted) {
              gone.set(now());
            }
          }
        };
    join(store.watch("", 0, seen));
    Instant asked = now();
    long version =
        commit(
            new Write.Put("a", Write.ABSENT, bytes("1"), new Lifetime.AtLeast(leaseTime())),
            new Write.Put("b", Write.ABSENT, bytes("1")));

    await()
        .until(() -> {
          elapse();
          return gone.get() != null;
        });
    assertFalse(requireNonNull(gone.get()).isBefore(asked.plus(leaseTime())), asked + ", " + gone);
    assertEquals(Optional.empty(), get("a"));
    assertTrue(get("b").isPresent());
    Change.Deleted last = assertInstanceOf(Change.Deleted.class, seen.changes.getLast());
    assertEquals("a", last.key());
    assertEquals(bytes("1"), last.lastValue());
    assertTrue(last.version() > version);
  }

  @Test
  void aKeyPutAgainWithoutALeaseStays() {
    long leased =
        commit(new Write.Put("a", Write.ABSENT, bytes("1"), new Lifetime.AtLeast(leaseTime())));
    put("a", leased, "2");
    commit(new Write.Put("other", Write.ABSENT, bytes("1"), new Lifetime.AtLeast(leaseTime())));

    await()
        .until(() -> {
          elapse();
          return get("other").isEmpty();
        });
    assertEquals(bytes("2"), get("a").orElseThrow().value());
  }

  @Test
  void aLeaseThatIsKeptAliveKeepsItsKeys() {
    Image image = new Image();
    join(store.watch("", 0, image));
    Store.Lease lease = join(store.lease(leaseTime()));
    commit(new Write.Put("leader", 0, bytes("me"), new Lifetime.Leased(lease)));
    Instant granted = now();
    await()
        .until(() -> {
          join(lease.keepAlive());
          elapse();
          return now().isAfter(granted.plus(leaseTime().multipliedBy(3)));
        });
    Instant last = now();
    join(lease.keepAlive());
    assertTrue(get("leader").isPresent());

    await()
        .until(() -> {
          elapse();
          return !image.entries.containsKey("leader");
        });
    assertFalse(now().isBefore(last.plus(leaseTime())));
    assertInstanceOf(LeaseEnded.class, failure(lease.keepAlive()));
  }

  @Test
  void aLeaseThatIsEndedTakesItsKeysAndIsNoUseAnyMore() {
    Store.Lease lease = join(store.lease(leaseTime().multipliedBy(10)));
    commit(
        new Write.Put("leader", 0, bytes("me"), new Lifetime.Leased(lease)),
        new Write.Put("other", 0, bytes("1")));

    join(lease.end());
    join(lease.end());

    assertEquals(Optional.empty(), get("leader"));
    assertTrue(get("other").isPresent());
    assertInstanceOf(LeaseEnded.class, failure(lease.keepAlive()));
    List<Write> late =
        List.of(
            new Write.Put("x", 0, bytes("1")),
            new Write.Put("leader", 0, bytes("me"), new Lifetime.Leased(lease)));
    assertInstanceOf(LeaseEnded.class, failure(store.commit(late)));
    assertEquals(Optional.empty(), get("x"));
  }

  @Test
  void aLeasedKeyGoesAlsoWhenItsStoreWasClosed() {
    Store.Lease lease = join(store.lease(leaseTime()));
    commit(new Write.Put("leader", 0, bytes("me"), new Lifetime.Leased(lease)));

    reopen();

    assertTrue(get("leader").isPresent());
    await()
        .until(() -> {
          elapse();
          return get("leader").isEmpty();
        });
  }

  // ---- the end

  @Test
  void aClosedStoreSaysSo() {
    store.close();

    assertInstanceOf(
        StoreException.Unavailable.class,
        failure(store.commit(List.of(new Write.Put("a", Write.ABSENT, bytes("1"))))));
    assertInstanceOf(StoreException.Unavailable.class, failure(store.get("a")));
  }

  // ---- words of this test

  static ByteString bytes(String text) {
    return ByteString.copyFromUtf8(text);
  }

  private long commit(Write... writes) {
    return join(store.commit(List.of(writes)));
  }

  private long put(String key, long expected, String value) {
    return commit(new Write.Put(key, expected, bytes(value)));
  }

  private long delete(String key, long expected) {
    return commit(new Write.Delete(key, expected));
  }

  private Optional<Entry> get(String key) {
    return join(store.get(key));
  }

  private Set<String> conflict(Write... writes) {
    return assertInstanceOf(Conflict.class, failure(store.commit(List.of(writes)))).keys();
  }

  private void watch(String prefix, long after, Store.Watcher watcher) {
    join(store.watch(prefix, after, watcher));
  }

  private List<Change> resume(long after) {
    Recorder seen = new Recorder();
    join(store.watch("", after, seen)).close();
    return seen.changes;
  }

  /** Keeps what it is told. */
  static class Recorder implements Store.Watcher {
    final List<Change> changes = new CopyOnWriteArrayList<>();
    final List<Listing> listings = new CopyOnWriteArrayList<>();

    @Override
    public void onChanges(List<Change> told) {
      changes.addAll(told);
    }

    @Override
    public void onListing(Listing listing) {
      listings.add(listing);
    }
  }

  /** Keeps what it makes of that. */
  static final class Image implements Store.Watcher {
    final Map<String, Entry> entries = new ConcurrentHashMap<>();

    @Override
    public void onChanges(List<Change> changes) {
      for (Change change : changes) {
        switch (change) {
          case Change.Updated(Entry entry) -> entries.put(entry.key(), entry);
          case Change.Deleted(String key, ByteString _, long _) -> entries.remove(key);
        }
      }
    }

    @Override
    public void onListing(Listing listing) {
      onChanges(listing.changesSince(List.copyOf(entries.values())));
    }
  }

  private static List<Long> versions(List<Change> changes) {
    return changes.stream().map(Change::version).toList();
  }

  static <T> T join(CompletableFuture<T> future) {
    return future.join();
  }

  static Throwable failure(CompletableFuture<?> future) {
    return requireNonNull(assertThrows(CompletionException.class, future::join).getCause());
  }

  private static boolean wins(CompletableFuture<Long> racer) {
    try {
      racer.join();
      return true;
    } catch (CompletionException e) {
      assertInstanceOf(Conflict.class, e.getCause());
      return false;
    }
  }

  private static void joinThread(Thread thread) {
    try {
      thread.join();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }
}
