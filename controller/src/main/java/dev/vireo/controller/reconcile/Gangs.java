package dev.vireo.controller.reconcile;

import dev.vireo.controller.lifecycle.ConditionType;
import dev.vireo.controller.lifecycle.Conditions;
import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.microvm.MicroVmName;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.placement.Placer;
import dev.vireo.controller.store.StoreException;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.proto.store.v1.MicroVmRecord;
import dev.vireo.proto.v1.Gang;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.scheduler.Together;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.jboss.logging.Logger;

/**
 * Places gangs: all microVMs of one in the same moment, by one commit, or none of them.
 *
 * <p>One whose node has refused it after that, or was lost, does not wait for its gang again, or
 * for any other of it: that was there, and some of it may have ended since.
 */
final class Gangs {
  private static final Logger LOG = Logger.getLogger(Gangs.class);

  private final MicroVms microVms;
  private final Placer placer;
  private final TimeSource time;

  /** Of one project. */
  private record Key(String project, String name) {
    static Key of(StoredMicroVm microVm) {
      return new Key(
          MicroVmName.parse(microVm.name()).orElseThrow().project(),
          gang(microVm.microVm()).getName());
    }
  }

  Gangs(MicroVms microVms, Placer placer, TimeSource time) {
    this.microVms = microVms;
    this.placer = placer;
    this.time = time;
  }

  static boolean isMember(MicroVm microVm) {
    return microVm.getSpec().getPlacement().hasGang();
  }

  private static Gang gang(MicroVm microVm) {
    return microVm.getSpec().getPlacement().getGang();
  }

  /** What a new member's record says until its gang is placed. */
  MicroVmRecord waiting(MicroVmRecord record) {
    return Lifecycle.waitingForGang(
        record, "waits for its gang " + gang(record.getMicrovm()).getName(), time.now());
  }

  /**
   * Tries to place the gangs of these.
   *
   * @param all microVMs, as of one moment: whether a gang is whole and which of it are to be placed
   *     must not come from two
   * @param avoid by uid, ids of nodes that have just refused it
   * @param explain whether to write down why a gang still has none
   */
  void placeAll(
      Collection<StoredMicroVm> all, Function<String, Set<String>> avoid, boolean explain) {
    List<StoredMicroVm> members =
        all.stream().filter(microVm -> isMember(microVm.microVm())).toList();
    if (members.stream().noneMatch(member -> Lifecycle.wantsPlacement(member.microVm()))) {
      return;
    }
    Map<Key, Long> there =
        members.stream()
            .filter(member -> isThere(member.microVm()))
            .collect(Collectors.groupingBy(Key::of, Collectors.counting()));
    members.stream()
        .filter(member -> Lifecycle.wantsPlacement(member.microVm()))
        .collect(Collectors.groupingBy(Key::of))
        .forEach(
            (key, pending) -> place(key, pending, there.getOrDefault(key, 0L), avoid, explain));
  }

  private static boolean isThere(MicroVm microVm) {
    return !Lifecycle.isDeleting(microVm) && !Conditions.isTrue(microVm, ConditionType.FINISHED);
  }

  private void place(
      Key key,
      List<StoredMicroVm> members,
      long there,
      Function<String, Set<String>> avoid,
      boolean explain) {
    members.stream()
        .filter(Gangs::wasPlaced)
        .forEach(again -> placeWhole(key, List.of(again), avoid, explain));
    List<StoredMicroVm> first = members.stream().filter(member -> !wasPlaced(member)).toList();
    if (first.isEmpty()) {
      return;
    }
    int size =
        members.stream().mapToInt(member -> gang(member.microVm()).getSize()).max().orElse(0);
    if (there >= size) {
      placeWhole(key, first, avoid, explain);
      return;
    }
    List<String> waiting =
        first.stream().map(StoredMicroVm::uid).filter(uid -> !microVms.isInDoubt(uid)).toList();
    explainApart(
        key, explain, waiting, "gang %s has %d of %d microVMs".formatted(key.name, there, size));
  }

  private static boolean wasPlaced(StoredMicroVm member) {
    return member.microVm().getStatus().getAttempt() > 0;
  }

  /** All of these, or none. */
  private void placeWhole(
      Key key, List<StoredMicroVm> members, Function<String, Set<String>> avoid, boolean explain) {
    List<String> uids = members.stream().map(StoredMicroVm::uid).toList();
    try {
      if (uids.stream().anyMatch(microVms::isInDoubt)) {
        return; // They may have nodes after all.
      }
      List<MicroVm> microVmsOfGang = members.stream().map(StoredMicroVm::microVm).toList();
      switch (placer.placeTogether(microVmsOfGang, avoid)) {
        case Together.Placed(Map<String, String> nodes) -> assign(key, uids, nodes);
        case Together.Unplaceable(String uid, var explanation) ->
            explain(
                explain,
                uids,
                wasPlaced(members.getFirst())
                    ? explanation.summary()
                    : "no room for all of gang %s; once those before it have theirs, for %s: %s"
                        .formatted(key.name, name(uid), explanation.summary()));
      }
    } catch (StoreException.TooLarge e) {
      LOG.warnf("cannot place gang=%s project=%s: %s", key.name, key.project, e.getMessage());
      explainApart(
          key,
          explain,
          uids,
          "gang %s is larger than one commit takes: delete it, and make it again of fewer microVMs,"
                  .formatted(key.name)
              + " or with less metadata and annotations");
    } catch (StoreException e) {
      LOG.warnf("cannot place gang=%s project=%s: %s", key.name, key.project, e.getMessage());
    } finally {
      uids.forEach(placer::settle);
    }
  }

  /** What cannot be told now is told later. */
  private void explainApart(Key key, boolean explain, List<String> uids, String why) {
    try {
      explain(explain, uids, why);
    } catch (StoreException e) {
      LOG.warnf("cannot explain gang=%s project=%s: %s", key.name, key.project, e.getMessage());
    }
  }

  private void assign(Key key, List<String> uids, Map<String, String> nodes) {
    boolean placed =
        microVms.updateTogether(
            uids,
            now ->
                now.size() == uids.size()
                        && now.stream().allMatch(m -> Lifecycle.wantsPlacement(m.microVm()))
                    ? now.stream()
                        .map(member ->
                            Lifecycle.assigned(
                                member.record(), nodes.getOrDefault(member.uid(), ""), time.now()))
                        .toList()
                    : List.of());
    if (placed) {
      LOG.infof("placed gang=%s project=%s nodes=%s", key.name, key.project, nodes.values());
    }
  }

  private void explain(boolean explain, List<String> uids, String why) {
    if (explain) {
      uids.forEach(uid ->
          microVms.update(
              uid,
              member ->
                  new MicroVms.Verdict.Put(
                      Lifecycle.wantsPlacement(member.microVm())
                          ? explained(member, why)
                          : member.record())));
    }
  }

  private MicroVmRecord explained(StoredMicroVm member, String why) {
    return wasPlaced(member)
        ? Lifecycle.unplaceable(member.record(), why, time.now())
        : Lifecycle.waitingForGang(member.record(), why, time.now());
  }

  private String name(String uid) {
    return microVms.findByUid(uid).map(StoredMicroVm::name).orElse(uid);
  }
}
