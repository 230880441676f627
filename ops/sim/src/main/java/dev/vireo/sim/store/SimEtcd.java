package dev.vireo.sim.store;

import dev.vireo.controller.store.Change;
import dev.vireo.controller.store.Lifetime;
import dev.vireo.controller.store.Listing;
import dev.vireo.controller.store.StoreException;
import dev.vireo.controller.store.StoreException.Compacted;
import dev.vireo.controller.store.StoreException.Conflict;
import dev.vireo.controller.store.Write;
import dev.vireo.sim.kernel.Simulation;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * etcd as one thing: all of its members, which either have a majority, and do in a moment what
 * arrives, or have none, and do nothing.
 *
 * <p>What happens is a sequence of events, which the streams of the stores are told of. As etcd's
 * revisions, an event may be more than a change of keys: each commit leaves a mark there, a refused
 * one too, and so does a store that wants to know what can no longer be done ({@link #fence}).
 */
public final class SimEtcd {
  /** How much later than its time a lease may end. */
  private static final long LATE_NANOS = 1_000_000_000;

  private static final double MOST_DRIFT = 0.01;

  private final Simulation simulation;
  private final SimDisk disk;
  private final RandomGenerator random;

  /** Seconds of its clock in a second of the world. */
  private final double rate;

  private final List<Event> events = new ArrayList<>();
  private final List<Stream> streams = new ArrayList<>();
  private final List<Witness> witnesses = new ArrayList<>();
  private final Map<Long, Granted> leases = new LinkedHashMap<>();
  private final Map<String, Long> leaseOf = new HashMap<>();
  private final Map<SimEtcdStore, Long> epochs = new HashMap<>();
  private long sequence;
  private long oldestSequence;
  private long lastLease;
  private boolean majority = true;

  /**
   * What has happened.
   *
   * @param version of the last commit by then
   * @param mark of a store that has caused it
   */
  record Event(long sequence, long version, List<Change> changes, Optional<Mark> mark) {}

  /** What one of the stores finds again in the events. */
  sealed interface Mark {
    SimEtcdStore store();

    /** A commit. */
    record Commit(SimEtcdStore store, long number, Outcome outcome) implements Mark {}

    /** Commits of earlier epochs that are not marked by now never will be. */
    record Fence(SimEtcdStore store, long epoch) implements Mark {}
  }

  /** What has become of a commit. */
  sealed interface Outcome {
    record Done(long version) implements Outcome {}

    record Refused(Conflict conflict) implements Outcome {}

    /** Its store has fenced itself since it was sent: nothing was done, and no mark is left. */
    record Fenced() implements Outcome {}
  }

  /** All that there is, and the event that it is as of. */
  record Snapshot(long sequence, Listing listing) {}

  /** Is told of events as they happen. */
  @FunctionalInterface
  interface Stream {
    void happened(Event event);
  }

  /** Is told of each commit in the moment that it is done. */
  @FunctionalInterface
  public interface Witness {
    void committed(String process, List<Change> changes);
  }

  private static final class Granted {
    private final Duration time;
    private Simulation.@Nullable Alarm end;

    Granted(Duration time) {
      this.time = time;
    }
  }

  public SimEtcd(Simulation simulation, SimDisk disk, RandomGenerator random) {
    this.simulation = simulation;
    this.disk = disk;
    this.random = random;
    this.rate = 1 + (random.nextDouble() * 2 - 1) * MOST_DRIFT;
  }

  /**
   * Whether enough members see each other. Those that find together after a time without a majority
   * know nothing of how old leases are, and give each its whole time again.
   */
  public void setMajority(boolean majority) {
    if (majority && !this.majority) {
      leases.forEach(this::begin);
    }
    this.majority = majority;
  }

  boolean answers() {
    return majority;
  }

  public void listen(Witness witness) {
    witnesses.add(witness);
  }

  /** Forgets what has changed so far. */
  public void compact() {
    disk.compact();
    events.clear();
    oldestSequence = sequence;
  }

  // ---- what a request does when it arrives

  SimDisk disk() {
    return disk;
  }

  /**
   * Does it, or finds a conflict, and leaves a mark of either.
   *
   * @throws StoreException.Unavailable and does nothing, when the disk is full
   * @throws StoreException.LeaseEnded and does nothing
   */
  Outcome commit(SimEtcdStore store, long number, long epoch, List<Write> writes) {
    if (epochs.getOrDefault(store, 0L) > epoch) {
      return new Outcome.Fenced();
    }
    for (Write write : writes) {
      if (lease(write).filter(id -> !leases.containsKey(id)).isPresent()) {
        throw StoreException.leaseEnded();
      }
    }
    List<Change> changes;
    Outcome outcome;
    try {
      changes = disk.commit(writes);
      outcome = new Outcome.Done(disk.version());
      List<Change> done = changes;
      witnesses.forEach(witness -> witness.committed(store.process().name(), done));
    } catch (Conflict e) {
      changes = List.of();
      outcome = new Outcome.Refused(e);
    }
    if (outcome instanceof Outcome.Done) {
      for (Write write : writes) {
        if (!(write instanceof Write.Unchanged)) {
          leaseOf.remove(write.key());
        }
        lease(write).ifPresent(id -> leaseOf.put(write.key(), id));
      }
    }
    publish(changes, Optional.of(new Mark.Commit(store, number, outcome)));
    return outcome;
  }

  private static Optional<Long> lease(Write write) {
    return write instanceof Write.Put put && put.lifetime() instanceof Lifetime.Leased(var lease)
        ? Optional.of(lease.id())
        : Optional.empty();
  }

  /** From now on nothing is done that the store sent in an earlier epoch. */
  void fence(SimEtcdStore store, long epoch) {
    checkRoom();
    epochs.put(store, epoch);
    publish(List.of(), Optional.of(new Mark.Fence(store, epoch)));
  }

  /** The same, and tells all that there is. */
  Snapshot startOver(SimEtcdStore store, long epoch) {
    fence(store, epoch);
    return new Snapshot(sequence, disk.list(""));
  }

  private void checkRoom() {
    if (disk.isFull()) {
      throw StoreException.unavailable("no space left on etcd's simulated disk");
    }
  }

  private void publish(List<Change> changes, Optional<Mark> mark) {
    Event event = new Event(++sequence, disk.version(), changes, mark);
    events.add(event);
    streams.forEach(stream -> stream.happened(event));
  }

  /**
   * Tells a stream of all that has happened after an event, and of what happens from now on.
   *
   * @throws Compacted if that is forgotten
   */
  void follow(long after, Stream stream) {
    if (after < oldestSequence) {
      throw StoreException.compacted(after, oldestSequence);
    }
    if (!streams.contains(stream)) {
      events.stream().filter(event -> event.sequence > after).forEach(stream::happened);
      streams.add(stream);
    }
  }

  void leave(Stream stream) {
    streams.remove(stream);
  }

  // ---- leases

  long grant(Duration time) {
    checkRoom();
    long id = ++lastLease;
    Granted granted = new Granted(time);
    leases.put(id, granted);
    begin(id, granted);
    return id;
  }

  /**
   * Gives it its whole time again.
   *
   * @throws StoreException.LeaseEnded when it is too late
   */
  void keepAlive(long id) {
    Granted granted = leases.get(id);
    if (granted == null) {
      throw StoreException.leaseEnded();
    }
    begin(id, granted);
  }

  private void begin(long id, Granted lease) {
    if (lease.end != null) {
      lease.end.cancel();
    }
    long nanos = (long) Math.ceil(lease.time.toNanos() / rate) + random.nextLong(LATE_NANOS);
    lease.end = simulation.after(Duration.ofNanos(nanos), () -> timeIsOver(id));
  }

  private void timeIsOver(long id) {
    if (majority) {
      end(id);
    }
  }

  /** Ends it with its keys, if it has not ended. */
  void end(long id) {
    Granted ended = leases.remove(id);
    if (ended == null) {
      return;
    }
    if (ended.end != null) {
      ended.end.cancel();
    }
    List<String> keys =
        leaseOf.entrySet().stream()
            .filter(entry -> entry.getValue() == id)
            .map(Map.Entry::getKey)
            .sorted()
            .toList();
    leaseOf.keySet().removeAll(keys);
    if (!keys.isEmpty()) {
      simulation.trace().line(simulation.nanos(), "etcd", "a lease ends, and with it " + keys);
      publish(disk.expire(keys), Optional.empty());
    }
  }
}
