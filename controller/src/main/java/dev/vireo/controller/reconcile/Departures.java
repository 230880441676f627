package dev.vireo.controller.reconcile;

import dev.vireo.controller.lifecycle.ConditionReason;
import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.lifecycle.NodeLoss;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.microvm.MicroVms.Verdict;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.node.Nodes;
import dev.vireo.controller.node.StoredNode;
import dev.vireo.controller.placement.PlacementTerms;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.proto.store.v1.MicroVmRecord;
import dev.vireo.proto.v1.NodeSpec;
import dev.vireo.proto.v1.TaintEffect;
import dev.vireo.scheduler.NodeRules;
import dev.vireo.scheduler.Taint;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import org.jboss.logging.Logger;

/**
 * Has microVMs leave nodes as operators want it: a node that is drained is emptied, one with a
 * taint that drives out keeps those that tolerate it, what a fenced one ran is lost.
 * Level-triggered: each round does what the records say is still to be done.
 */
final class Departures {
  private static final Logger LOG = Logger.getLogger(Departures.class);

  /**
   * How many leave one node at a time: where they go has to start them, and the least important go
   * first.
   */
  static final int MOST_AT_ONCE = 8;

  private static final Comparator<StoredMicroVm> LEAST_IMPORTANT_FIRST =
      Comparator.comparingInt(PendingMicroVms::priority)
          .thenComparing(Comparator.comparingLong(StoredMicroVm::createdVersion).reversed());

  private final MicroVms microVms;
  private final Nodes nodes;
  private final Reports reports;
  private final Apart apart;
  private final TimeSource time;

  /** Why a microVM has to leave. */
  private record Cause(ConditionReason reason, String message, boolean force) {}

  Departures(MicroVms microVms, Nodes nodes, Reports reports, Apart apart, TimeSource time) {
    this.microVms = microVms;
    this.nodes = nodes;
    this.reports = reports;
    this.apart = apart;
    this.time = time;
  }

  /** Does what is due. Blocks until that is durable. */
  void round() {
    for (StoredNode node : nodes.all()) {
      if (node.record().getFencing()) {
        apart.run("node " + node.id(), () -> fence(node.id()));
      }
      if (drivesOut(node.node().getSpec())) {
        empty(node);
      }
    }
  }

  private void fence(String nodeId) {
    switch (nodes.health(nodeId)) {
      case LOST -> {
        LOG.warnf("node fenced node=%s: what it ran is lost", nodeId);
        reports.lostWithNode(nodeId, NodeLoss.FENCED);
        nodes.fencingDone(nodeId);
      }
      case READY -> {
        LOG.warnf("node not fenced node=%s: it is there", nodeId);
        nodes.fencingDone(nodeId);
      }
      case HEALTH_UNSPECIFIED, UNRECOGNIZED -> {
        // The controller has begun a moment ago: it may yet come.
      }
    }
  }

  /** Of the reasons to leave, the one that is told. */
  private Optional<Cause> cause(StoredNode node, StoredMicroVm microVm) {
    NodeSpec wanted = node.node().getSpec();
    if (wanted.hasDrain()) {
      return Optional.of(
          new Cause(
              ConditionReason.DRAINED,
              "nodes/%s is drained".formatted(node.id()),
              wanted.getDrain().getForce()));
    }
    NodeRules rules = PlacementTerms.nodeRules(microVm.microVm().getSpec().getPlacement());
    return wanted.getTaintsList().stream()
        .map(PlacementTerms::taint)
        .flatMap(Optional::stream)
        .filter(taint -> taint.effect() == Taint.Effect.NO_EXECUTE && !rules.tolerate(taint))
        .findFirst()
        .map(taint ->
            new Cause(
                ConditionReason.TAINTED,
                "nodes/%s is tainted %s".formatted(node.id(), taint),
                false));
  }

  private static boolean drivesOut(NodeSpec wanted) {
    return wanted.hasDrain()
        || wanted.getTaintsList().stream()
            .anyMatch(taint -> taint.getEffect() == TaintEffect.NO_EXECUTE);
  }

  private void empty(StoredNode node) {
    List<StoredMicroVm> here =
        microVms.on(node.id()).stream()
            .filter(microVm -> !Lifecycle.isDeleting(microVm.microVm()))
            .toList();
    List<StoredMicroVm> leaving =
        here.stream().filter(microVm -> Lifecycle.isLeaving(microVm.record())).toList();
    if (node.node().getSpec().getDrain().getForce()) {
      leaving.forEach(microVm -> leaveApart(microVm, node));
    }
    here.stream()
        .filter(microVm -> !Lifecycle.isLeaving(microVm.record()))
        .filter(microVm -> cause(node, microVm).isPresent())
        .sorted(LEAST_IMPORTANT_FIRST)
        .limit(Math.max(0, MOST_AT_ONCE - leaving.size()))
        .forEach(microVm -> leaveApart(microVm, node));
  }

  private void leaveApart(StoredMicroVm leaver, StoredNode node) {
    apart.run(leaver.uid(), () -> leave(leaver, node));
  }

  private void leave(StoredMicroVm leaver, StoredNode node) {
    microVms
        .update(leaver.uid(), microVm -> new Verdict.Put(leaving(microVm, node)))
        .filter(microVm -> Lifecycle.isLeaving(microVm.record()))
        .filter(_ -> !Lifecycle.isLeaving(leaver.record()))
        .ifPresent(microVm ->
            LOG.infof(
                "leaving microvm=%s uid=%s: %s",
                microVm.name(), microVm.uid(), microVm.record().getEviction().getMessage()));
  }

  private MicroVmRecord leaving(StoredMicroVm microVm, StoredNode node) {
    boolean stays =
        !Lifecycle.isOn(node.id(), microVm.microVm()) || Lifecycle.isDeleting(microVm.microVm());
    return stays
        ? microVm.record()
        : cause(node, microVm)
            .map(cause ->
                Lifecycle.leaving(
                    microVm.record(), cause.reason, cause.message, cause.force, time.now()))
            .orElse(microVm.record());
  }
}
