package dev.vireo.sim.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.controller.store.Change;
import dev.vireo.controller.store.Entry;
import dev.vireo.controller.store.Lifetime;
import dev.vireo.controller.store.Listing;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.StoreException;
import dev.vireo.controller.store.Write;
import dev.vireo.sim.kernel.SimProcess;
import dev.vireo.sim.kernel.Simulation;
import dev.vireo.sim.kernel.Trace;
import dev.vireo.sim.network.Cable;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class SimEtcdStoreTest {
  private static final Duration LEASE = Duration.ofSeconds(6);

  private final Simulation simulation = new Simulation(1, new Trace(_ -> {}));
  private final SimDisk disk = new SimDisk();
  private final SimEtcd etcd = new SimEtcd(simulation, disk, simulation.random());
  private final Replica one = new Replica("one");
  private final Replica other = new Replica("other");

  /** A process with its store, and what it has seen there of the keys that begin with "k". */
  private final class Replica implements Store.Watcher {
    final SimProcess process;
    final Cable cable = new Cable();
    final SimEtcdStore store;
    final List<String> seen = new ArrayList<>();

    Replica(String name) {
      RandomGenerator random = simulation.random();
      process = new SimProcess(simulation, name, 1, Duration.ZERO);
      store = new SimEtcdStore(etcd, process, cable, random);
      process.execute(() -> {
        store.open();
        Store.await(store.watch("k", 0, this));
      });
      pass(20);
    }

    @Override
    public void onChanges(List<Change> changes) {
      changes.forEach(change -> seen.add(line(change)));
    }

    @Override
    public void onListing(Listing listing) {
      seen.add("all: " + listing.entries().stream().map(Entry::key).toList());
    }

    CompletableFuture<Long> put(String key) {
      return store.commit(List.of(write(key, Lifetime.UNLIMITED)));
    }
  }

  private static String line(Change change) {
    return switch (change) {
      case Change.Updated updated -> updated.key();
      case Change.Deleted deleted -> "-" + deleted.key();
    };
  }

  private static Write write(String key, Lifetime lifetime) {
    return new Write.Put(key, Write.ABSENT, ByteString.copyFromUtf8("v"), lifetime);
  }

  private void pass(int seconds) {
    simulation.run(Duration.ofSeconds(seconds), () -> false);
  }

  private <T> T answer(CompletableFuture<T> future) {
    assertTrue(simulation.run(Duration.ofMinutes(1), future::isDone), "no answer");
    return future.join();
  }

  private @Nullable Throwable failure(CompletableFuture<?> future) {
    return assertThrows(CompletionException.class, () -> answer(future)).getCause();
  }

  @Test
  void aCommitIsCompleteWhenItIsSeenHereAndAnotherStoreSeesItToo() {
    CompletableFuture<Long> committed = one.put("k1");
    assertTrue(simulation.run(Duration.ofMinutes(1), committed::isDone));
    assertEquals(List.of("k1"), one.seen);

    pass(10);

    assertEquals(List.of("k1"), other.seen);
    assertInstanceOf(StoreException.Conflict.class, failure(other.put("k1")));
  }

  @Test
  void aStoreThatLagsHearsOfAllThingsInTheirOrder() {
    other.store.setLag(Duration.ofSeconds(30));
    answer(one.put("k2"));
    answer(one.put("k1"));
    pass(5);
    assertEquals(List.of(), other.seen);

    pass(60);

    assertEquals(List.of("k2", "k1"), other.seen);
  }

  @Test
  void aKeyGoesWithItsLeaseAndNotWhileThatIsKeptAlive() {
    Store.Lease lease = answer(one.store.lease(LEASE));
    answer(one.store.commit(List.of(write("k", new Lifetime.Leased(lease)))));
    for (int i = 0; i < 5; i++) {
      pass(2);
      answer(lease.keepAlive());
    }
    assertEquals(List.of("k"), one.seen);

    pass(10);

    assertEquals(List.of("k", "-k"), one.seen);
    assertInstanceOf(StoreException.LeaseEnded.class, failure(lease.keepAlive()));
    assertInstanceOf(
        StoreException.LeaseEnded.class,
        failure(one.store.commit(List.of(write("k", new Lifetime.Leased(lease))))));
  }

  @Test
  void whoFindsAMajorityAgainHasAllItsTime() {
    Store.Lease lease = answer(one.store.lease(LEASE));
    answer(one.store.commit(List.of(write("k", new Lifetime.Leased(lease)))));
    etcd.setMajority(false);
    pass(60);
    etcd.setMajority(true);

    pass(5);
    assertEquals(1, disk.entries("k").size());
    pass(5);
    assertEquals(0, disk.entries("k").size());
  }

  @Test
  void aCommitThatDemandsAKeyOfAnEndedLeaseIsRefused() {
    Store.Lease lease = answer(one.store.lease(LEASE));
    long term = answer(one.store.commit(List.of(write("leader", new Lifetime.Leased(lease)))));
    List<Write> fenced =
        List.of(write("k", Lifetime.UNLIMITED), new Write.Unchanged("leader", term));
    one.store.beforeNextCommit(one.process::pause);
    CompletableFuture<Long> late = one.store.commit(fenced);

    pass(20);
    one.process.resume();

    assertInstanceOf(StoreException.Conflict.class, failure(late));
    assertEquals(List.of(), disk.entries("k"));
  }

  @Test
  void whatWasForgottenWhileAStoreWasCutOffComesAsAListing() {
    answer(one.put("k1"));
    pass(10);
    other.cable.pull();
    answer(one.put("k2"));
    etcd.compact();
    pass(20);
    other.cable.plugIn();

    pass(20);

    assertEquals(List.of("k1", "all: [k1, k2]"), other.seen);
  }

  @Test
  void aCommitWhoseAnswerIsLostIsDoneOnceAndKnownToBe() {
    disk.setAnswersLost(1);
    CompletableFuture<Long> committed = one.put("k1");
    assertEquals(1L, answer(committed));

    assertEquals(List.of("k1"), one.seen);
    assertEquals(1, disk.commits());
  }

  @Test
  void aStoreThatCannotReachEtcdSaysSo() {
    one.cable.pull();
    assertInstanceOf(StoreException.OutcomeUnknown.class, failure(one.put("k1")));
    assertInstanceOf(StoreException.Unavailable.class, failure(one.store.list("")));
    assertInstanceOf(StoreException.Unavailable.class, failure(one.store.lease(LEASE)));
  }
}
