package dev.vireo.sim;

import static dev.vireo.sim.Invariants.require;

import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.proto.store.v1.MicroVmRecord;
import dev.vireo.proto.v1.DesiredState;
import dev.vireo.proto.v1.Gang;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.QuotaStatus;
import dev.vireo.sim.client.BrokenPromiseException;
import dev.vireo.sim.client.Promises;
import dev.vireo.sim.client.SimClient;
import dev.vireo.sim.node.SimMachine;
import dev.vireo.sim.node.SimMachine.Guest;
import dev.vireo.sim.store.SimDisk;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** What must have become true some time after the last fault: what is wanted is what is. */
final class Convergence {
  private final SimDisk disk;
  private final List<Seat> seats;
  private final List<SimMachine> machines;
  private final Promises promises;

  Convergence(World world) {
    this.disk = world.disk();
    this.seats = world.seats();
    this.machines = world.machines();
    this.promises = world.promises();
  }

  /** Why it is not so yet; empty if it is. */
  Optional<String> missing() {
    try {
      check();
      return Optional.empty();
    } catch (BrokenPromiseException e) {
      return Optional.ofNullable(e.getMessage());
    }
  }

  private void check() {
    require(
        promises.unfinished() == 0,
        () -> "%s operations have no end".formatted(promises.unfinished()));
    checkControllers();
    for (SimMachine machine : machines) {
      require(machine.isWelcome(), () -> machine.name() + " has no session");
    }
    Map<String, Guest> guests = new HashMap<>();
    machines.forEach(machine -> machine.guests().forEach(guest -> guests.put(guest.uid(), guest)));
    List<MicroVmRecord> records = Records.all(disk);
    for (MicroVmRecord record : records) {
      checkOne(record.getMicrovm(), guests.remove(record.getMicrovm().getMeta().getUid()), records);
    }
    require(guests.isEmpty(), () -> "guests that nobody knows of: %s".formatted(guests.values()));
    checkDirectories(records);
    checkQuotas(records);
    require(
        Records.tombstones(disk).isEmpty(),
        () -> "tombstones of nodes that are back: %s".formatted(Records.tombstones(disk)));
  }

  private void checkControllers() {
    long leaders = seats.stream().filter(seat -> seat.controller().leads()).count();
    require(leaders == 1, () -> "%d controllers lead".formatted(leaders));
    Map<String, Long> stored = Records.versions(disk);
    for (Seat seat : seats) {
      Map<String, Long> image = seat.controller().serves() ? seat.controller().image() : Map.of();
      require(
          image.equals(stored),
          () -> "%s shows %s, and the store has %s".formatted(seat.name(), image, stored));
    }
  }

  private void checkOne(MicroVm microVm, @Nullable Guest guest, List<MicroVmRecord> records) {
    String uid = microVm.getMeta().getUid();
    MicroVmState state = microVm.getStatus().getState();
    DesiredState wish = microVm.getSpec().getDesiredState();
    require(
        !Lifecycle.isDeleting(microVm), () -> "%s was to be deleted, and is there".formatted(uid));
    switch (state) {
      case PENDING -> {
        require(guest == null, () -> "%s waits for a node, and runs: %s".formatted(uid, guest));
        checkWaiting(microVm, records);
      }
      case RUNNING, PAUSED -> {
        require(
            guest != null,
            () -> "%s is said to be %s, and there is no guest".formatted(uid, state));
        require(
            guest != null
                && guest.attempt() == microVm.getStatus().getAttempt()
                && Lifecycle.nodeId(microVm).filter(guest.node()::equals).isPresent(),
            () ->
                "%s is not the guest that its record speaks of: %s"
                    .formatted(guest, microVm.getStatus()));
        MicroVmState wanted =
            wish == DesiredState.DESIRED_PAUSED ? MicroVmState.PAUSED : MicroVmState.RUNNING;
        require(
            wish != DesiredState.DESIRED_STOPPED && state == wanted,
            () -> "%s is %s, and is to be %s".formatted(uid, state, wish));
      }
      case STOPPED, FAILED ->
          require(
              guest == null,
              () -> "%s is said to be %s, and runs: %s".formatted(uid, state, guest));
      case SCHEDULED, STARTING, STOPPING, DELETING, MICRO_VM_STATE_UNSPECIFIED, UNRECOGNIZED ->
          throw new BrokenPromiseException("%s is %s for ever".formatted(uid, state));
    }
  }

  private void checkWaiting(MicroVm microVm, List<MicroVmRecord> records) {
    String uid = microVm.getMeta().getUid();
    if (!microVm.getSpec().getPlacement().hasGang() || GangRules.wasPlaced(microVm)) {
      require(
          !fitsSomewhere(microVm.getSpec().getMemoryMib(), records),
          () -> "%s waits for a node, and there is room".formatted(uid));
      return;
    }
    Gang gang = microVm.getSpec().getPlacement().getGang();
    long neededMib =
        records.stream()
            .map(MicroVmRecord::getMicrovm)
            .filter(Lifecycle::wantsPlacement)
            .filter(other -> other.getSpec().getPlacement().getGang().equals(gang))
            .mapToLong(other -> other.getSpec().getMemoryMib())
            .sum();
    // If one machine could take all of it, it is found room whichever way each is put.
    require(
        !GangRules.isWhole(gang, records) || !fitsSomewhere(neededMib, records),
        () -> "%s waits for a node with its gang, and there is room for all".formatted(uid));
  }

  private boolean fitsSomewhere(long memoryMib, List<MicroVmRecord> records) {
    return machines.stream()
        .anyMatch(machine -> {
          long taken =
              records.stream()
                  .map(MicroVmRecord::getMicrovm)
                  .filter(Lifecycle::holdsResources)
                  .filter(
                      other -> Lifecycle.nodeId(other).filter(machine.name()::equals).isPresent())
                  .mapToLong(other -> other.getSpec().getMemoryMib())
                  .sum();
          return taken + memoryMib <= machine.capacity().getMemoryMib();
        });
  }

  /** What was counted and came to nothing would count for ever. */
  private void checkQuotas(List<MicroVmRecord> records) {
    List<MicroVmSpec> specs =
        records.stream().map(record -> record.getMicrovm().getSpec()).toList();
    QuotaStatus has =
        QuotaStatus.newBuilder()
            .setMicrovms(specs.size())
            .setVcpus(specs.stream().mapToLong(MicroVmSpec::getVcpus).sum())
            .setMemoryMib(specs.stream().mapToLong(MicroVmSpec::getMemoryMib).sum())
            .build();
    for (Seat seat : seats) {
      QuotaStatus counted = seat.controller().used(SimClient.PROJECT);
      require(
          counted.equals(has),
          () -> "%s counts %s for the quota, of %s".formatted(seat.name(), counted, has));
    }
  }

  private void checkDirectories(List<MicroVmRecord> records) {
    for (SimMachine machine : machines) {
      Set<String> here =
          records.stream()
              .map(MicroVmRecord::getMicrovm)
              .filter(
                  microVm -> Lifecycle.nodeId(microVm).filter(machine.name()::equals).isPresent())
              .map(microVm -> microVm.getMeta().getUid())
              .collect(Collectors.toSet());
      for (String uid : machine.microVmDirectories()) {
        require(
            here.contains(uid),
            () -> "%s has files of %s, which is not its own".formatted(machine.name(), uid));
      }
    }
  }
}
