package dev.vireo.sim;

import dev.vireo.controller.store.Change;
import dev.vireo.controller.store.Entry;
import dev.vireo.proto.store.v1.TombstoneRecord;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.sim.client.BrokenPromiseException;
import dev.vireo.sim.client.Promises;
import dev.vireo.sim.node.SimMachine;
import dev.vireo.sim.node.SimMachine.Guest;
import dev.vireo.sim.store.SimDisk;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;

/** What must be true at every moment, whatever fails. */
final class Invariants {
  private final List<SimMachine> machines;
  private final Promises promises;
  private final Set<String> removed = new HashSet<>();

  /** Of those that were removed while their node was gone: where they may still run, by uid. */
  private final Map<String, String> mayRunOn = new HashMap<>();

  private int withoutNode;
  private long changes;
  private long seen;

  Invariants(SimDisk disk, List<SimMachine> machines, Promises promises) {
    this.machines = machines;
    this.promises = promises;
    disk.listen(this::committed);
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
    if (Records.isTombstone(change.key())) {
      tombstone(change);
    }
  }

  private void tombstone(Change change) {
    changes++;
    switch (change) {
      case Change.Updated(Entry entry) -> {
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

  /** Looks at all guests, if anything has changed since it last did. */
  void check() {
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

  static void require(boolean holds, Supplier<String> otherwise) {
    if (!holds) {
      throw new BrokenPromiseException(otherwise.get());
    }
  }
}
