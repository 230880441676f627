package dev.vireo.controller.reconcile;

import dev.vireo.controller.lifecycle.ConditionReason;
import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.lifecycle.NodeLoss;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.microvm.MicroVms.Verdict;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.node.Nodes;
import dev.vireo.controller.node.StoredNode;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.proto.v1.Drain;
import java.util.Comparator;
import java.util.List;
import org.jboss.logging.Logger;

/**
 * Has microVMs leave nodes as operators want it: a node that is drained is emptied, what a fenced
 * one ran is lost. Level-triggered: each round does what the records say is still to be done.
 */
final class Departures {
  private static final Logger LOG = Logger.getLogger(Departures.class);

  /**
   * How many leave one node at a time: where they go has to start them, and the least important go
   * first.
   */
  static final int MOST_AT_ONCE = 8;

  private static final Comparator<StoredMicroVm> YOUNGEST_FIRST =
      Comparator.comparingLong(StoredMicroVm::createdVersion).reversed();

  private final MicroVms microVms;
  private final Nodes nodes;
  private final Reports reports;
  private final TimeSource time;

  Departures(MicroVms microVms, Nodes nodes, Reports reports, TimeSource time) {
    this.microVms = microVms;
    this.nodes = nodes;
    this.reports = reports;
    this.time = time;
  }

  /** Does what is due. Blocks until that is durable. */
  void round() {
    for (StoredNode node : nodes.all()) {
      if (node.record().getFencing()) {
        fence(node.id());
      }
      if (node.node().getSpec().hasDrain()) {
        drain(node.id(), node.node().getSpec().getDrain());
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

  private void drain(String nodeId, Drain drain) {
    List<StoredMicroVm> here =
        microVms.on(nodeId).stream()
            .filter(microVm -> !Lifecycle.isDeleting(microVm.microVm()))
            .toList();
    List<StoredMicroVm> leaving =
        here.stream().filter(microVm -> Lifecycle.isLeaving(microVm.record())).toList();
    if (drain.getForce()) {
      leaving.forEach(microVm -> leave(microVm, nodeId, drain));
    }
    here.stream()
        .filter(microVm -> !Lifecycle.isLeaving(microVm.record()))
        .sorted(YOUNGEST_FIRST)
        .limit(Math.max(0, MOST_AT_ONCE - leaving.size()))
        .forEach(microVm -> leave(microVm, nodeId, drain));
  }

  private void leave(StoredMicroVm leaver, String nodeId, Drain drain) {
    microVms
        .update(
            leaver.uid(),
            microVm ->
                new Verdict.Put(
                    Lifecycle.isOn(nodeId, microVm.microVm())
                            && !Lifecycle.isDeleting(microVm.microVm())
                        ? Lifecycle.leaving(
                            microVm.record(),
                            ConditionReason.DRAINED,
                            "nodes/%s is drained".formatted(nodeId),
                            drain.getForce(),
                            time.now())
                        : microVm.record()))
        .filter(microVm -> Lifecycle.isLeaving(microVm.record()))
        .filter(microVm -> !Lifecycle.isLeaving(leaver.record()))
        .ifPresent(microVm ->
            LOG.infof(
                "leaving microvm=%s uid=%s node=%s: drained",
                microVm.name(), microVm.uid(), nodeId));
  }
}
