package dev.vireo.sim;

import static dev.vireo.sim.Invariants.require;
import static java.util.stream.Collectors.groupingBy;
import static java.util.stream.Collectors.toMap;

import dev.vireo.controller.lifecycle.ConditionType;
import dev.vireo.controller.lifecycle.Conditions;
import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.store.Change;
import dev.vireo.proto.store.v1.MicroVmRecord;
import dev.vireo.proto.v1.Gang;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.sim.kernel.Simulation;
import dev.vireo.sim.store.SimDisk;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What a commit must keep to that gives a node to any member of a gang (microvm.proto): the gang is
 * whole, and of those that have waited for their first all have one now. What happens to a member
 * before and after that is its own affair: one that was refused, lost or preempted is placed again
 * without those that have their nodes still, have ended or are gone.
 *
 * <p>A gang's name is never used for another one here.
 */
final class GangRules {
  /** From a look at all that wait to the commit of what was decided: the store may be slow. */
  private static final Duration DECISION = Duration.ofSeconds(20);

  private final Simulation simulation;
  private final SimDisk disk;

  /** As of the last commit, by uid. */
  private Map<String, MicroVm> members = Map.of();

  /** When each began to wait for the node that it has not got, by uid. */
  private final Map<String, Long> waitsSince = new HashMap<>();

  /** When each was last counted, by gang and uid. */
  private final Map<String, Map<String, Long>> lastThere = new HashMap<>();

  /** Those that have or had a node, by gang. */
  private final Map<String, Set<String>> placed = new HashMap<>();

  private long lastVersion;
  private int placements;

  GangRules(Simulation simulation, SimDisk disk) {
    this.simulation = simulation;
    this.disk = disk;
  }

  /** How many commits have given nodes to members of gangs. */
  int placements() {
    return placements;
  }

  /** Looks at a commit, when it is told of the first of its changes. */
  void committed(Change change) {
    if (change.version() == lastVersion) {
      return;
    }
    lastVersion = change.version();
    Map<String, MicroVm> before = members;
    members = members();
    Stream.concat(before.values().stream(), members.values().stream())
        .filter(GangRules::isThere)
        .forEach(this::count);
    waitsSince.keySet().removeIf(uid -> !waits(members.get(uid)));
    members.values().stream()
        .filter(GangRules::waits)
        .forEach(member -> waitsSince.putIfAbsent(uid(member), simulation.nanos()));
    members.values().stream()
        .filter(member -> hasNode(member) && !hasNode(before.get(uid(member))))
        .collect(groupingBy(member -> member.getSpec().getPlacement().getGang()))
        .forEach(this::check);
  }

  private Map<String, MicroVm> members() {
    return Records.all(disk).stream()
        .map(MicroVmRecord::getMicrovm)
        .filter(microVm -> microVm.getSpec().getPlacement().hasGang())
        .collect(toMap(GangRules::uid, microVm -> microVm));
  }

  private void count(MicroVm member) {
    lastThere
        .computeIfAbsent(name(member), _ -> new HashMap<>())
        .put(uid(member), simulation.nanos());
  }

  private void check(Gang gang, List<MicroVm> newlyPlaced) {
    placements++;
    Set<String> everPlaced = placed.computeIfAbsent(gang.getName(), _ -> new HashSet<>());
    newlyPlaced.forEach(member -> everPlaced.add(uid(member)));
    require(
        everPlaced.size() >= gang.getSize(),
        () ->
            "%s has nodes for %d of %d"
                .formatted(gang.getName(), everPlaced.size(), gang.getSize()));
    if (newlyPlaced.stream().noneMatch(member -> member.getStatus().getAttempt() == 1)) {
      return; // Each had its place with the gang before.
    }
    long longAgo = simulation.nanos() - DECISION.toNanos();
    long there =
        lastThere.getOrDefault(gang.getName(), Map.of()).values().stream()
            .filter(nanos -> nanos >= longAgo)
            .count();
    require(
        there >= gang.getSize(),
        () ->
            "%s is placed, and %d of %d are there"
                .formatted(gang.getName(), there, gang.getSize()));
    List<String> forgotten =
        members.values().stream()
            .filter(member -> name(member).equals(gang.getName()) && !wasPlaced(member))
            .map(GangRules::uid)
            .filter(uid -> waitsSince.getOrDefault(uid, Long.MAX_VALUE) < longAgo)
            .toList();
    require(
        forgotten.isEmpty(), () -> "%s is placed without %s".formatted(gang.getName(), forgotten));
  }

  /** Whether a gang is whole by the records, and so ought to be placed as soon as there is room. */
  static boolean isWhole(Gang gang, List<MicroVmRecord> records) {
    return records.stream()
            .map(MicroVmRecord::getMicrovm)
            .filter(microVm -> name(microVm).equals(gang.getName()) && isThere(microVm))
            .count()
        >= gang.getSize();
  }

  /** It is placed again by itself, and waits for none of the others. */
  static boolean wasPlaced(MicroVm member) {
    return member.getStatus().getAttempt() > 0;
  }

  private static String uid(MicroVm microVm) {
    return microVm.getMeta().getUid();
  }

  private static String name(MicroVm member) {
    return member.getSpec().getPlacement().getGang().getName();
  }

  private static boolean isThere(MicroVm microVm) {
    return !Lifecycle.isDeleting(microVm) && !Conditions.isTrue(microVm, ConditionType.FINISHED);
  }

  private static boolean waits(@Nullable MicroVm microVm) {
    return microVm != null && Lifecycle.wantsPlacement(microVm);
  }

  private static boolean hasNode(@Nullable MicroVm microVm) {
    return microVm != null && Lifecycle.nodeId(microVm).isPresent();
  }
}
