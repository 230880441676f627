package dev.vireo.controller.leader;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.controller.store.Entry;
import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.StoreException.NotLeader;
import dev.vireo.controller.store.Write;
import dev.vireo.controller.testing.ManualTime;
import dev.vireo.proto.store.v1.LeaderRecord;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Who leads, when: on clocks that a test moves, the store's and each controller's its own, as those
 * of machines are, and of a process that is stopped.
 */
class LeaderElectionTest {
  private static final Duration LEASE = Duration.ofSeconds(6);

  @TempDir private Path directory;
  private final ManualTime storeTime = new ManualTime();
  private Store store;
  private Candidate one;
  private Candidate two;

  @BeforeEach
  void open() {
    store =
        SqliteStore.open(
            directory.resolve("vireo.db"), clock(storeTime), new SimpleMeterRegistry());
    one = new Candidate("one");
    two = new Candidate("two");
  }

  @AfterEach
  void close() {
    store.close();
  }

  /** One controller: its clock, and what it knows of who leads. */
  private final class Candidate implements Leadership.Listener {
    final ManualTime time = new ManualTime();
    final Leadership leadership = Leadership.elected(time);
    final LeaderElection election;
    final Store fenced = leadership.fence(store);
    final List<String> told = new ArrayList<>();

    Candidate(String name) {
      LeaderRecord self =
          LeaderRecord.newBuilder().setId("id-of-" + name).setAddress(name + ":7420").build();
      election = new LeaderElection(store, leadership, self, LEASE, time);
      leadership.listen(this);
    }

    @Override
    public void elected() {
      told.add("elected");
    }

    @Override
    public void deposed() {
      told.add("deposed");
    }

    boolean leads() {
      return leadership.leads();
    }

    /** Goes round until what it has asked the store for is answered. */
    void round() {
      election.round();
      store.get("anything").join();
      election.round();
    }
  }

  /** Time passes for the store and these, but not for one that is stopped. */
  private void elapse(Duration duration, Candidate... awake) {
    storeTime.advance(duration);
    for (Candidate candidate : awake) {
      candidate.time.advance(duration);
    }
  }

  @Test
  void oneIsElectedAndTheOthersKnowWhereItIs() {
    one.round();
    two.round();

    assertTrue(one.leads());
    assertFalse(two.leads());
    assertEquals(Optional.of("one:7420"), two.leadership.leader());
    assertEquals(Optional.empty(), one.leadership.leader());
    assertEquals(List.of("elected"), one.told);
    assertEquals(List.of(), two.told);
  }

  @Test
  void aLeaderThatHasHeardNothingKnowsNotWhoComesNext() {
    one.round();
    one.time.advance(LEASE);
    one.election.round();
    boolean atFirst = one.leadership.isUninformed();
    two.round(); // Its predecessor has given its lease back.

    assertTrue(atFirst);
    await().until(() -> !one.leadership.isUninformed());
  }

  @Test
  void aLeaderThatKeepsItsLeaseAliveGoesOnLeading() {
    one.round();

    for (int i = 0; i < 20; i++) {
      elapse(Duration.ofSeconds(1), one, two);
      one.round();
      two.round();
      assertTrue(one.leads());
      assertFalse(two.leads());
    }
  }

  @Test
  void aLeaderThatIsSilentKnowsItselfDeposedBeforeAnotherIsElected() {
    one.round();

    elapse(LEASE.minusSeconds(1), one, two);
    two.round();

    assertFalse(one.leads(), "it has not asked the store for five seconds, of six");
    assertFalse(two.leads(), "its lease has not ended");
    elapse(Duration.ofSeconds(1), one, two);
    awaitLeaderless();
    two.round();
    assertTrue(two.leads());
    assertEquals(List.of("elected"), one.told, "nobody has told it");
    one.round();
    assertEquals(List.of("elected", "deposed"), one.told);
    assertEquals(Optional.of("two:7420"), one.leadership.leader());
  }

  @Test
  void aDeposedLeadersLateCommitChangesNothing() {
    one.round();
    commit(one, "a", Write.ABSENT);

    // Stopped: time passes, and its clock has not been looked at.
    elapse(LEASE, two);
    awaitLeaderless();
    two.round();
    assertTrue(two.leads());
    assertTrue(one.leads(), "so it believes");

    long mine = commit(two, "b", Write.ABSENT);
    assertRefused(one, "b", mine);
    assertRefused(one, "c", Write.ABSENT);

    assertEquals(mine, find("b").orElseThrow().version());
    assertEquals(Optional.empty(), find("c"));
    one.round();
    assertFalse(one.leads(), "it has seen the other's key");
  }

  @Test
  void aTermIsNotAnotherOfTheSameController() {
    one.round();
    removeLeadersKey();
    awaitLeaderless();
    one.round();
    one.round();

    assertTrue(one.leads());
    assertEquals(List.of("elected", "deposed", "elected"), one.told);
    commit(one, "a", Write.ABSENT);
  }

  /** As if the store had ended its lease: by the controller's clock it lasts. */
  private void removeLeadersKey() {
    Entry key = find(LeaderElection.KEY).orElseThrow();
    store.commit(List.of(new Write.Delete(LeaderElection.KEY, key.version()))).join();
  }

  @Test
  void whoDoesNotLeadWritesNothing() {
    one.round();

    assertRefused(two, "a", Write.ABSENT);

    assertEquals(Optional.empty(), find("a"));
  }

  @Test
  void aLeaderThatStopsLetsAnotherInAtOnce() {
    Thread thread = Thread.ofPlatform().start(one.election);
    await().until(one::leads);

    one.election.close();

    assertFalse(thread.isAlive() && one.leads());
    two.round();
    assertTrue(two.leads(), "no time has passed");
  }

  @Test
  void nobodyIsElectedWhoseElectionTookLongerThanItsLease() {
    one.election.round();
    one.time.advance(LEASE);

    assertFalse(one.leads());
    one.round();
    assertEquals("deposed", one.told.get(1));
  }

  /** In between it has refused what only a leader takes. */
  @Test
  void aTermThatWasOverIsNotProlonged() {
    one.leadership.elect(1, one.time.nanoTime() + LEASE.toNanos());
    one.time.advance(LEASE);

    one.leadership.prolong(one.time.nanoTime() + LEASE.toNanos());

    assertFalse(one.leads());
  }

  private void awaitLeaderless() {
    await().until(() -> find(LeaderElection.KEY).isEmpty());
  }

  private Optional<Entry> find(String key) {
    return store.get(key).join();
  }

  private static long commit(Candidate by, String key, long version) {
    return by.fenced.commit(List.of(put(key, version))).join();
  }

  private static void assertRefused(Candidate by, String key, long version) {
    CompletionException refused =
        assertThrows(
            CompletionException.class, () -> by.fenced.commit(List.of(put(key, version))).join());
    assertInstanceOf(NotLeader.class, refused.getCause());
  }

  private static Write put(String key, long version) {
    return new Write.Put(key, version, ByteString.copyFromUtf8("value"));
  }

  private static Clock clock(ManualTime time) {
    return new Clock() {
      @Override
      public ZoneId getZone() {
        return ZoneOffset.UTC;
      }

      @Override
      public Clock withZone(ZoneId zone) {
        return this;
      }

      @Override
      public Instant instant() {
        return time.now();
      }
    };
  }
}
