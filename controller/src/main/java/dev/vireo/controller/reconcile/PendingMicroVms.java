package dev.vireo.controller.reconcile;

import dev.vireo.controller.lifecycle.ConditionReason;
import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.microvm.MicroVms.Verdict;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.placement.Placer;
import dev.vireo.controller.store.StoreException;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.controller.tracing.CreateTraces;
import dev.vireo.proto.store.v1.MicroVmRecord;
import dev.vireo.proto.v1.Placement;
import dev.vireo.scheduler.Decision;
import java.time.Duration;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.jboss.logging.Logger;

/**
 * Finds nodes: for a microVM at once, and again for those that none could take before, for which
 * less important ones may have to leave.
 */
public final class PendingMicroVms {
  private static final Logger LOG = Logger.getLogger(PendingMicroVms.class);

  /** A node that has refused a microVM is not asked again for this long. */
  static final Duration AVOIDANCE = Duration.ofSeconds(10);

  /** Of a large cluster, whose nodes will say much the same. */
  private static final int MOST_REFUSALS_TOLD = 3;

  private static final Comparator<StoredMicroVm> MOST_IMPORTANT_FIRST =
      Comparator.comparingInt(PendingMicroVms::priority)
          .reversed()
          .thenComparingLong(StoredMicroVm::createdVersion);

  private final MicroVms microVms;
  private final Placer placer;
  private final TimeSource time;
  private final CreateTraces traces;
  private final Gangs gangs;
  private final Apart apart = new Apart();

  /** By uid and node. */
  private final Map<String, Map<String, Refusal>> refusals = new ConcurrentHashMap<>();

  /**
   * A node's.
   *
   * @param untilNanos when it is forgotten and the node asked again
   * @param why in the node's words
   */
  private record Refusal(long untilNanos, String why) {}

  public PendingMicroVms(MicroVms microVms, Placer placer, TimeSource time, CreateTraces traces) {
    this.microVms = microVms;
    this.placer = placer;
    this.time = time;
    this.traces = traces;
    this.gangs = new Gangs(microVms, placer, time);
  }

  /**
   * Decides for a record that has no node yet, and reserves. The caller makes the answer durable,
   * or {@link #settle settles}.
   */
  public MicroVmRecord decide(MicroVmRecord record) {
    if (Gangs.isMember(record.getMicrovm())) {
      return gangs.waiting(record);
    }
    String uid = record.getMicrovm().getMeta().getUid();
    Map<String, Refusal> refused = refusals(uid);
    Decision decision =
        traces.decision(
            record.getMicrovm(), () -> placer.place(record.getMicrovm(), refused.keySet()));
    return switch (decision) {
      case Decision.Placed placed -> Lifecycle.assigned(record, placed.nodeId(), time.now());
      case Decision.Unplaceable unplaceable ->
          Lifecycle.unplaceable(
              record, explain(unplaceable.explanation().summary(), refused), time.now());
    };
  }

  /** Why a microVM is where it is, or nowhere. */
  public Placer.Reasons reasons(StoredMicroVm microVm) {
    return placer.explain(microVm.microVm(), refusals(microVm.uid()).keySet());
  }

  /** The scheduler knows that a node has refused; why, only the node has said. */
  private static String explain(String summary, Map<String, Refusal> refused) {
    StringBuilder explanation = new StringBuilder(summary);
    refused.entrySet().stream()
        .limit(MOST_REFUSALS_TOLD)
        .forEach(refusal ->
            explanation.append(
                "; nodes/%s: %s".formatted(refusal.getKey(), refusal.getValue().why)));
    return explanation.toString();
  }

  private MicroVmRecord decideAgain(MicroVmRecord waiting, boolean explain) {
    MicroVmRecord decided = decide(waiting);
    boolean news = Lifecycle.isJustRefused(waiting.getMicrovm());
    return explain || news || !Lifecycle.wantsPlacement(decided.getMicrovm()) ? decided : waiting;
  }

  /** Brings the books back to what is durable. */
  public void settle(String uid) {
    placer.settle(uid);
  }

  /** Remembers that a node has just refused a microVM, and why. */
  void avoid(String uid, String nodeId, String why) {
    refusals
        .computeIfAbsent(uid, _ -> new ConcurrentHashMap<>())
        .put(nodeId, new Refusal(time.nanoTime() + AVOIDANCE.toNanos(), why));
  }

  /** Those that still count, by node. */
  private SortedMap<String, Refusal> refusals(String uid) {
    Map<String, Refusal> byNode = refusals.get(uid);
    if (byNode == null) {
      return Collections.emptySortedMap();
    }
    byNode.values().removeIf(refusal -> time.nanoTime() - refusal.untilNanos >= 0);
    if (byNode.isEmpty()) {
      refusals.remove(uid);
    }
    return new TreeMap<>(byNode);
  }

  /**
   * Tries again, the most important first and of them the oldest, for all that have no node. One
   * that is in doubt may have a node after all, whose room must not be given up for another's.
   *
   * @param explain whether to write down anew why one still has none; free memory changes all the
   *     time, and the records of all that wait need not change with it
   */
  void placeAll(boolean explain) {
    refusals.keySet().removeIf(uid -> microVms.findByUid(uid).isEmpty());
    List<StoredMicroVm> all = List.copyOf(microVms.all());
    all.stream()
        .filter(microVm -> Lifecycle.wantsPlacement(microVm.microVm()))
        .filter(microVm -> !Gangs.isMember(microVm.microVm()))
        .filter(microVm -> !microVms.isInDoubt(microVm.uid()))
        .sorted(MOST_IMPORTANT_FIRST)
        .forEach(microVm -> apart.run(microVm.uid(), () -> place(microVm.uid(), explain)));
    gangs.placeAll(all, uid -> refusals(uid).keySet(), explain);
  }

  static int priority(StoredMicroVm microVm) {
    return microVm.microVm().getSpec().getPlacement().getPriority();
  }

  private void place(String uid, boolean explain) {
    try {
      Optional<StoredMicroVm> placed =
          traces.retry(
              uid,
              () ->
                  microVms.update(
                      uid,
                      microVm ->
                          new Verdict.Put(
                              Lifecycle.wantsPlacement(microVm.microVm())
                                  ? decideAgain(microVm.record(), explain)
                                  : microVm.record())));
      placed
          .filter(microVm -> Lifecycle.nodeId(microVm.microVm()).isPresent())
          .ifPresent(microVm ->
              LOG.infof(
                  "placed microvm=%s uid=%s node=%s attempt=%d",
                  microVm.name(),
                  uid,
                  Lifecycle.nodeId(microVm.microVm()).orElseThrow(),
                  microVm.microVm().getStatus().getAttempt()));
      placed
          .filter(microVm -> Lifecycle.wantsPlacement(microVm.microVm()))
          .ifPresent(this::preempt);
    } catch (StoreException.TooLarge e) {
      throw e;
    } catch (StoreException e) {
      LOG.warnf("cannot place uid=%s: %s", uid, e.getMessage());
    } finally {
      placer.settle(uid);
    }
  }

  /** Has less important microVMs leave a node, if that gives it room. */
  private void preempt(StoredMicroVm waiting) {
    Placement placement = waiting.microVm().getSpec().getPlacement();
    if (placement.getPreemption() == dev.vireo.proto.v1.Preemption.PREEMPT_NEVER) {
      return;
    }
    placer
        .preempt(waiting.microVm(), refusals(waiting.uid()).keySet())
        .ifPresent(preemption -> {
          LOG.infof(
              "preempting for microvm=%s uid=%s node=%s victims=%s",
              waiting.name(), waiting.uid(), preemption.nodeId(), preemption.victims());
          String why = "for a microVM of priority %d".formatted(placement.getPriority());
          preemption
              .victims()
              .forEach(victim -> apart.run(victim, () -> leave(victim, preemption.nodeId(), why)));
        });
  }

  private void leave(String victim, String nodeId, String why) {
    microVms.update(
        victim,
        microVm ->
            new Verdict.Put(
                Lifecycle.isOn(nodeId, microVm.microVm())
                        && !Lifecycle.isDeleting(microVm.microVm())
                    ? Lifecycle.leaving(
                        microVm.record(), ConditionReason.PREEMPTED, why, false, time.now())
                    : microVm.record()));
  }
}
