package dev.vireo.sim;

import static java.util.stream.Collectors.toMap;

import dev.vireo.controller.leader.LeaderElection;
import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.store.Change;
import dev.vireo.controller.store.Entry;
import dev.vireo.proto.store.v1.MicroVmRecord;
import dev.vireo.proto.store.v1.TombstoneRecord;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.sim.client.BrokenPromiseException;
import dev.vireo.sim.client.Promises;
import dev.vireo.sim.controller.SimController;
import dev.vireo.sim.kernel.Simulation;
import dev.vireo.sim.node.SimMachine;
import dev.vireo.sim.node.SimMachine.Guest;
import dev.vireo.sim.store.SimDisk;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;

/** What must be true at every moment, whatever fails. */
final class Invariants {
  /** A node's lease and the grace of deletions, by the fastest clock. */
  private static final Duration GONE =
      World.LEASE.plus(SimController.DELETE_GRACE).multipliedBy(98).dividedBy(100);

  private final Simulation simulation;
  private final SimDisk disk;
  private final List<Seat> seats;
  private final List<SimMachine> machines;
  private final Promises promises;
  private final GangRules gangRules;
  private final QuotaRules quotaRules;
  private final Set<String> removed = new HashSet<>();

  /** Of those that were removed while their node was gone: where they may still run, by uid. */
  private final Map<String, String> mayRunOn = new HashMap<>();

  /** When the present leader was elected; -1: none ever was. */
  private long leaderSinceNanos = -1;

  private int withoutNode;
  private long changes;
  private long seen;

  Invariants(World world) {
    this.simulation = world.simulation();
    this.disk = world.disk();
    this.seats = world.seats();
    this.machines = world.machines();
    this.promises = world.promises();
    this.gangRules = new GangRules(simulation, disk);
    this.quotaRules = new QuotaRules(simulation, disk);
    disk.listen(this::committed);
    world.etcd().ifPresent(etcd -> etcd.listen(this::committed));
  }

  /** What a controller has decided is done only while it leads. */
  private void committed(String controller, List<Change> changes) {
    boolean election = changes.stream().allMatch(change -> change.key().equals(LeaderElection.KEY));
    Optional<String> leader = Records.leader(disk);
    require(
        election || leader.filter(controller::equals).isPresent(),
        () ->
            "%s changes %s, and %s leads"
                .formatted(
                    controller,
                    changes.stream().map(Change::key).toList(),
                    leader.orElse("nobody")));
  }

  private void committed(Change change) {
    if (change instanceof Change.Deleted deleted && Records.isMicroVm(change.key())) {
      MicroVm gone = Records.parse(deleted.lastValue()).getMicrovm();
      String uid = gone.getMeta().getUid();
      require(
          !promises.holds(uid),
          () -> "%s was promised, and is removed from the store".formatted(uid));
      removed.add(uid);
      changes++;
    }
    if (change instanceof Change.Updated && change.key().equals(LeaderElection.KEY)) {
      leaderSinceNanos = simulation.nanos();
    }
    if (Records.isTombstone(change.key())) {
      tombstone(change);
    }
    if (Records.isMicroVm(change.key())) {
      gangRules.committed(change);
    }
    if (change instanceof Change.Updated updated) {
      updated(updated);
    }
  }

  private void updated(Change.Updated change) {
    Entry entry = change.entry();
    if (Records.isQuota(change.key())) {
      quotaRules.set(Records.parseQuota(entry.value()));
    }
    if (Records.isMicroVm(change.key())) {
      Lifecycle.nodeId(Records.parse(entry.value()).getMicrovm()).ifPresent(this::requireRoom);
      if (entry.version() == entry.createdVersion()) {
        quotaRules.created(change);
      }
    }
  }

  /** By the records, whether its guests run or not. */
  private void requireRoom(String node) {
    Map<String, Long> promisedMib =
        Records.all(disk).stream()
            .map(MicroVmRecord::getMicrovm)
            .filter(Lifecycle::holdsResources)
            .filter(microVm -> Lifecycle.isOn(node, microVm))
            .collect(
                toMap(
                    microVm -> microVm.getMeta().getName(),
                    microVm -> microVm.getSpec().getMemoryMib()));
    long sumMib = promisedMib.values().stream().mapToLong(Long::longValue).sum();
    machines.stream()
        .filter(machine -> machine.name().equals(node))
        .forEach(machine ->
            require(
                sumMib <= machine.capacity().getMemoryMib(),
                () -> "%s is promised %s MiB, and has less".formatted(node, promisedMib)));
  }

  private void tombstone(Change change) {
    changes++;
    switch (change) {
      case Change.Updated(Entry entry) -> {
        require(
            leaderSinceNanos < 0 || simulation.nanos() - leaderSinceNanos >= GONE.toNanos(),
            () -> "a deletion ends without its node, which had no time to come to this leader");
        TombstoneRecord tombstone = Records.parseTombstone(entry.value());
        mayRunOn.put(tombstone.getUid(), tombstone.getNodeId());
        withoutNode++;
      }
      case Change.Deleted deleted ->
          mayRunOn.remove(Records.parseTombstone(deleted.lastValue()).getUid());
    }
  }

  /** How many deletions have ended without their node. */
  int withoutNode() {
    return withoutNode;
  }

  /** How many commits have given nodes to members of gangs. */
  int gangPlacements() {
    return gangRules.placements();
  }

  /** Looks at who leads, and at all guests, if anything has changed since it last did. */
  void check() {
    checkLeaders();
    long now = changes + machines.stream().mapToLong(SimMachine::changes).sum();
    if (now == seen) {
      return;
    }
    seen = now;
    Map<String, Guest> byUid = new HashMap<>();
    for (SimMachine machine : machines) {
      for (Guest guest : machine.guests()) {
        Guest other = byUid.put(guest.uid(), guest);
        require(
            other == null, () -> "two guests of one microVM: %s and %s".formatted(other, guest));
        require(
            !removed.contains(guest.uid()) || guest.node().equals(mayRunOn.get(guest.uid())),
            () -> "%s runs after its delete has finished".formatted(guest));
      }
      long memoryMib = machine.guests().stream().mapToLong(Guest::memoryMib).sum();
      require(
          memoryMib <= machine.capacity().getMemoryMib(),
          () ->
              "%s runs guests of %d MiB in all, and has less".formatted(machine.name(), memoryMib));
    }
  }

  /** By their own clocks, whether they get turns or not. */
  private void checkLeaders() {
    int leaders = 0;
    for (Seat seat : seats) {
      leaders += seat.controller().leads() ? 1 : 0;
    }
    require(leaders <= 1, () -> "two controllers lead");
  }

  static void require(boolean holds, Supplier<String> otherwise) {
    if (!holds) {
      throw new BrokenPromiseException(otherwise.get());
    }
  }
}
