package dev.vireo.controller.store;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vireo.controller.store.EtcdOptions.Tls;
import dev.vireo.controller.store.StoreException.OutcomeUnknown;
import dev.vireo.controller.store.StoreException.TooLarge;
import dev.vireo.controller.store.StoreException.Unavailable;
import dev.vireo.controller.store.StoreException.Unusable;
import dev.vireo.controller.time.TimeSource;
import java.io.IOException;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The store in an etcd keeps every store's promises, also when etcd is slow, away or another's. */
final class EtcdStoreTest extends StoreConformance {
  private static final int REVISIONS = 100;
  private static final Duration TIMEOUT = Duration.ofSeconds(10);
  private static final AtomicInteger TESTS = new AtomicInteger();

  private static EtcdServer server;

  private final String prefix = "/test/" + TESTS.incrementAndGet() + "/";

  @BeforeAll
  static void startServer() {
    assumeTrue(EtcdServer.isInstalled(), "etcd is not installed (Debian: etcd-server)");
    server = EtcdServer.start();
  }

  @AfterAll
  static void stopServer() {
    if (EtcdServer.isInstalled()) {
      server.close();
    }
  }

  @Override
  EtcdStore open() {
    return EtcdStore.open(options(prefix, "ours", TIMEOUT), TimeSource.system(), REVISIONS);
  }

  private static EtcdOptions options(String prefix, String cluster, Duration timeout) {
    return new EtcdOptions(
        List.of(server.endpoint()), prefix, cluster, Tls.DEFAULT, Optional.empty(), timeout);
  }

  @Override
  Duration leaseTime() {
    return Duration.ofSeconds(1);
  }

  @Override
  Instant now() {
    return Instant.now();
  }

  @Override
  void elapse() {
    // By itself.
  }

  @Override
  int deletionsKept() {
    return REVISIONS;
  }

  // ---- several processes

  @Test
  void whatOneProcessWritesAnotherSees() {
    try (EtcdStore other = open()) {
      Recorder seen = new Recorder();
      join(other.watch("", 0, seen));
      long version = join(current().commit(List.of(new Write.Put("a", 0, bytes("1")))));

      await().until(() -> !seen.changes.isEmpty());
      assertEquals(version, seen.changes.getFirst().version());
      assertEquals(version, join(other.get("a")).orElseThrow().version());
    }
  }

  @Test
  void aConflictWithAnotherProcessIsAnsweredAfterItsChangeWasSeen() {
    try (EtcdStore other = open()) {
      Recorder seen = new Recorder();
      join(current().watch("", 0, seen));
      join(other.commit(List.of(new Write.Put("a", 0, bytes("1")))));

      failure(current().commit(List.of(new Write.Put("a", 0, bytes("2")))));

      assertEquals(1, seen.changes.size());
    }
  }

  @Test
  void historiesOfSeveralProcessesAreLinearizableWhileEtcdIsKilledAndStopped() {
    try (EtcdStore other = open()) {
      CompletableFuture<History> history =
          CompletableFuture.supplyAsync(
              () -> History.record(new Alternating(current(), other), new Random(5), 4, 60));
      for (int round = 0; round < 3 && !history.isDone(); round++) {
        server.kill();
        server.restart();
        server.pause();
        server.resume();
      }

      assertEquals(Optional.empty(), Linearizability.violation(history.join()));
    }
  }

  // ---- what is not ours

  @Test
  void anotherClustersDataIsRefusedAndLeftAsItIs() {
    join(current().commit(List.of(new Write.Put("a", 0, bytes("1")))));

    Unusable refused =
        assertThrows(
            Unusable.class,
            () -> EtcdStore.open(options(prefix, "theirs", TIMEOUT), TimeSource.system()));

    assertTrue(refused.getMessage().contains("the cluster 'ours'"), refused.getMessage());
    assertEquals(bytes("1"), join(current().get("a")).orElseThrow().value());
  }

  @Test
  void aNewerFormatIsRefused() {
    Unusable refused = refusedWith("vireo format 2, cluster ours and more");

    assertTrue(refused.getMessage().contains("newer release"), refused.getMessage());
  }

  @Test
  void anotherProgramsKeysAreRefused() {
    Unusable refused = refusedWith("theirs");

    assertTrue(refused.getMessage().contains("not Vireo's"), refused.getMessage());
  }

  /** The store that runs stops, and none can be opened; what was written stays. */
  private Unusable refusedWith(String marker) {
    EtcdTool etcd = new EtcdTool(server.endpoint());
    etcd.put(prefix + "cluster", marker);

    await()
        .until(() -> failureOf(current().get("a")).filter(Unusable.class::isInstance).isPresent());
    Unusable refused = assertThrows(Unusable.class, this::open);
    assertEquals(marker, etcd.get(prefix + "cluster"));
    assertInstanceOf(
        Unusable.class, failure(current().commit(List.of(new Write.Put("a", 0, bytes("1"))))));
    return refused;
  }

  private static Optional<Throwable> failureOf(CompletableFuture<?> future) {
    return future.handle((_, error) -> Optional.ofNullable(error)).join();
  }

  @Test
  void anEtcdThatTakesFewerWritesIsNamed() {
    try (EtcdServer small = EtcdServer.start("http", List.of("--max-txn-ops=128"));
        EtcdStore store =
            EtcdStore.open(
                new EtcdOptions(
                    List.of(small.endpoint()),
                    prefix,
                    "ours",
                    Tls.DEFAULT,
                    Optional.empty(),
                    TIMEOUT),
                TimeSource.system())) {
      List<Write> gang = new ArrayList<>();
      for (int i = 0; i < Store.MAX_WRITES; i++) {
        gang.add(new Write.Put("k" + i, Write.ABSENT, bytes("1")));
      }

      TooLarge refused = assertInstanceOf(TooLarge.class, failure(store.commit(gang)));
      assertTrue(refused.getMessage().contains("--max-txn-ops=512"), refused.getMessage());
      join(store.commit(gang.subList(0, 126)));
    }
  }

  // ---- when etcd is away

  @Test
  void anEtcdThatIsNotThereIsNamed() {
    URI nowhere = URI.create("http://127.0.0.1:1");
    EtcdOptions options =
        new EtcdOptions(
            List.of(nowhere),
            prefix,
            "ours",
            Tls.DEFAULT,
            Optional.empty(),
            Duration.ofMillis(500));

    Unavailable refused =
        assertThrows(Unavailable.class, () -> EtcdStore.open(options, TimeSource.system()));

    assertTrue(refused.getMessage().contains(nowhere.toString()), refused.getMessage());
    assertTrue(refused.getMessage().contains("is it running"), refused.getMessage());
  }

  @Test
  void whileEtcdIsAwayCallsFailInTimeAndWorkGoesOnByItself() {
    Recorder seen = new Recorder();
    try (EtcdStore store =
        EtcdStore.open(options(prefix, "ours", Duration.ofSeconds(1)), TimeSource.system())) {
      join(store.watch("", 0, seen));
      server.pause();
      CompletableFuture<Long> lost = store.commit(List.of(new Write.Put("a", 0, bytes("1"))));
      assertInstanceOf(OutcomeUnknown.class, failure(lost));
      assertInstanceOf(Unavailable.class, failure(store.get("a")));
      assertInstanceOf(Unavailable.class, failure(store.barrier()), "it writes nothing");
      server.resume();

      // As whoever got such an answer does: asks again, and may be told that it was done.
      await()
          .ignoreExceptions()
          .until(() -> join(store.get("a")).isPresent() || !failsToPut(store, "a"));
      assertEquals(bytes("1"), join(store.get("a")).orElseThrow().value());
      await().until(() -> seen.changes.size() == 1);
    }
  }

  private static boolean failsToPut(Store store, String key) {
    return failureOf(store.commit(List.of(new Write.Put(key, 0, bytes("1"))))).isPresent();
  }

  @Test
  void aMemberThatSaysNothingIsLeftForAnotherTheWatchToo() throws IOException {
    Recorder seen = new Recorder();
    try (LossyWire wire = new LossyWire(server.endpoint())) {
      EtcdOptions options =
          new EtcdOptions(
              List.of(wire.endpoint(), server.endpoint()),
              prefix,
              "ours",
              Tls.DEFAULT,
              Optional.empty(),
              TIMEOUT);
      try (EtcdStore store = EtcdStore.open(options, TimeSource.system(), REVISIONS)) {
        join(store.watch("", 0, seen));
        wire.loseAnswers();

        long version = join(store.commit(List.of(new Write.Put("a", 0, bytes("1")))));

        assertEquals(version, join(current().get("a")).orElseThrow().version());
        assertEquals(1, seen.changes.size());
      }
    }
  }

  /** As for a while when a leader has died: two swallow what they are asked. */
  @Test
  void aCommitIsDoneInTimeThoughTwoMembersSayNothing() throws IOException {
    try (LossyWire one = new LossyWire(server.endpoint());
        LossyWire two = new LossyWire(server.endpoint())) {
      EtcdOptions options =
          new EtcdOptions(
              List.of(one.endpoint(), two.endpoint(), server.endpoint()),
              prefix,
              "ours",
              Tls.DEFAULT,
              Optional.empty(),
              TIMEOUT);
      try (EtcdStore store = EtcdStore.open(options, TimeSource.system(), REVISIONS)) {
        one.goDead();
        two.goDead();

        long version = join(store.commit(List.of(new Write.Put("a", 0, bytes("1")))));

        assertEquals(version, join(current().get("a")).orElseThrow().version());
      }
    }
  }

  @Test
  void aCommitWhoseAnswerWasLostIsDoneOnceAndItsVersionIsKnown() throws IOException {
    Recorder seen = new Recorder();
    try (LossyWire wire = new LossyWire(server.endpoint());
        EtcdStore store = openBy(wire)) {
      join(store.watch("", 0, seen));
      wire.loseAnswers();
      CompletableFuture<Long> commit =
          store.commit(List.of(new Write.Put("a", Write.ABSENT, bytes("1"))));
      await().until(() -> join(current().get("a")).isPresent());
      assertFalse(commit.isDone());
      wire.cut();

      assertEquals(join(current().get("a")).orElseThrow().version(), join(commit));
      assertEquals(1, seen.changes.size());
    }
  }

  @Test
  void aCommitThatNeverArrivedIsSentAgain() throws IOException {
    try (LossyWire wire = new LossyWire(server.endpoint());
        EtcdStore store = openBy(wire)) {
      wire.loseRequests();
      CompletableFuture<Long> commit =
          store.commit(List.of(new Write.Put("a", Write.ABSENT, bytes("1"))));
      wire.cut();

      assertEquals(join(commit), join(current().get("a")).orElseThrow().version());
    }
  }

  private EtcdStore openBy(LossyWire wire) {
    EtcdOptions options =
        new EtcdOptions(
            List.of(wire.endpoint()), prefix, "ours", Tls.DEFAULT, Optional.empty(), TIMEOUT);
    return EtcdStore.open(options, TimeSource.system(), REVISIONS);
  }

  @Test
  void aWatchThatWasAwayForTooLongIsGivenAll() {
    Image image = new Image();
    try (EtcdStore other = open()) {
      join(current().commit(List.of(new Write.Put("gone", 0, bytes("1")))));
      join(other.watch("", 0, image));
      other.cutOff();
      long version = join(current().get("gone")).orElseThrow().version();
      join(current().commit(List.of(new Write.Delete("gone", version))));
      List<CompletableFuture<Long>> commits = new ArrayList<>();
      for (int i = 0; i < 2 * REVISIONS; i++) {
        commits.add(current().commit(List.of(new Write.Put("k" + i, 0, bytes("1")))));
      }
      commits.forEach(StoreConformance::join);
      await().until(() -> join(current().list("")).oldestVersion() > version);
      assertFalse(image.entries.containsKey("k0"));
      other.reconnect();

      join(other.commit(List.of(new Write.Put("after", 0, bytes("1")))));

      assertFalse(image.entries.containsKey("gone"));
      assertEquals(2 * REVISIONS + 1, image.entries.size());
    }
  }

  /** Asks one and then the other. */
  private record Alternating(Store one, Store two, AtomicInteger calls) implements Store {
    Alternating(Store one, Store two) {
      this(one, two, new AtomicInteger());
    }

    private Store next() {
      return calls.incrementAndGet() % 2 == 0 ? one : two;
    }

    @Override
    public CompletableFuture<Long> commit(List<Write> writes) {
      return next().commit(writes);
    }

    @Override
    public CompletableFuture<Void> barrier() {
      return next().barrier();
    }

    @Override
    public CompletableFuture<Optional<Entry>> get(String key) {
      return next().get(key);
    }

    @Override
    public CompletableFuture<Listing> list(String keyPrefix) {
      return next().list(keyPrefix);
    }

    @Override
    public CompletableFuture<Watch> watch(String keyPrefix, long afterVersion, Watcher watcher) {
      return next().watch(keyPrefix, afterVersion, watcher);
    }

    @Override
    public CompletableFuture<Lease> lease(Duration time) {
      return next().lease(time);
    }

    @Override
    public void close() {
      throw new UnsupportedOperationException();
    }
  }
}
