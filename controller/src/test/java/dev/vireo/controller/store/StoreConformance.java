package dev.vireo.controller.store;

import static java.util.Objects.requireNonNull;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.controller.store.StoreException.Compacted;
import dev.vireo.controller.store.StoreException.Conflict;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CopyOnWriteArrayList;
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

  /** Lets this much time pass for leases, and the store notice it. */
  abstract void elapse(Duration time);

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
    List<Change> seen = new CopyOnWriteArrayList<>();
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
        seen);
  }

  @Test
  void aConflictIsAnsweredAfterTheChangeThatCausedItWasSeen() {
    List<Change> seen = new CopyOnWriteArrayList<>();
    watch("", 0, seen);
    CompletableFuture<Long> winner =
        store.commit(List.of(new Write.Put("a", Write.ABSENT, bytes("1"))));
    CompletableFuture<Integer> seenAtConflict =
        store
            .commit(List.of(new Write.Put("a", Write.ABSENT, bytes("2"))))
            .handle((_, _) -> seen.size());

    join(winner);
    assertEquals(1, join(seenAtConflict));
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
    List<Change> seen = new CopyOnWriteArrayList<>();
    long one = put("a", Write.ABSENT, "1");
    watch("", 0, seen);
    long two = put("a", one, "2");

    assertEquals(List.of(one, two), versions(seen));
  }

  @Test
  void aClosedWatchIsSilent() {
    List<Change> seen = new CopyOnWriteArrayList<>();
    Store.Watch watch = join(store.watch("", 0, seen::addAll));
    watch.close();
    put("a", Write.ABSENT, "1");

    assertEquals(List.of(), seen);
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

    assertInstanceOf(Compacted.class, failure(store.watch("", first, _ -> {})));
    Listing listing = join(store.list(""));
    assertTrue(listing.oldestVersion() > first);
    // And told where it can begin.
    List<Change> since = resume(listing.oldestVersion());
    assertTrue(since.size() >= deletionsKept());
    assertEquals(Optional.of("first"), listing.entries().stream().map(Entry::key).findFirst());
  }

  /** Random commits; whoever watches from any moment ends with exactly what the store has. */
  @Test
  void anImageKeptByAWatchIsTheStore() {
    Random random = new Random(11);
    Map<String, Long> model = new HashMap<>();
    Map<String, Entry> early = Collections.synchronizedMap(new HashMap<>());
    join(store.watch("", 0, changes -> changes.forEach(change -> applyTo(early, change))));
    Map<String, Entry> late = Collections.synchronizedMap(new HashMap<>());
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
        listing.entries().forEach(entry -> late.put(entry.key(), entry));
        join(
            store.watch(
                "",
                listing.version(),
                changes -> changes.forEach(change -> applyTo(late, change))));
      }
    }

    Map<String, Entry> actual = new HashMap<>();
    join(store.list("")).entries().forEach(entry -> actual.put(entry.key(), entry));
    assertEquals(model.keySet(), actual.keySet());
    assertEquals(actual, early);
    assertEquals(actual, late);
  }

  private static void applyTo(Map<String, Entry> image, Change change) {
    switch (change) {
      case Change.Updated(Entry entry) -> image.put(entry.key(), entry);
      case Change.Deleted(String key, ByteString _, long _) -> image.remove(key);
    }
  }

  // ---- leases

  @Test
  void aLeasedKeyGoesAfterItsLeaseAndNotBefore() {
    List<Change> seen = new CopyOnWriteArrayList<>();
    watch("", 0, seen);
    long version =
        commit(
            new Write.Put("a", Write.ABSENT, bytes("1"), Optional.of(Duration.ofMinutes(10))),
            new Write.Put("b", Write.ABSENT, bytes("1")));

    elapse(Duration.ofMinutes(9));
    assertEquals(version, get("a").orElseThrow().version());

    elapse(Duration.ofMinutes(2));
    await().until(() -> get("a").isEmpty());
    assertTrue(get("b").isPresent());
    Change last = seen.getLast();
    assertEquals("a", last.key());
    assertTrue(last.version() > version);
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

  private void watch(String prefix, long after, List<Change> seen) {
    join(store.watch(prefix, after, seen::addAll));
  }

  private List<Change> resume(long after) {
    List<Change> seen = new CopyOnWriteArrayList<>();
    join(store.watch("", after, seen::addAll)).close();
    return seen;
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
