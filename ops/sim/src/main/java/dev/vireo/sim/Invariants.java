package dev.vireo.sim;

import dev.vireo.controller.store.Change;
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
    }
  }

  /** Looks at all guests, if anything has changed since it last did. */
  void check() {
    long changes = removed.size() + machines.stream().mapToLong(SimMachine::changes).sum();
    if (changes == seen) {
      return;
    }
    seen = changes;
    Map<String, Guest> byUid = new HashMap<>();
    for (SimMachine machine : machines) {
      for (Guest guest : machine.guests()) {
        Guest other = byUid.put(guest.uid(), guest);
        require(
            other == null, () -> "two guests of one microVM: %s and %s".formatted(other, guest));
        require(
            !removed.contains(guest.uid()),
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
