package dev.vireo.controller.placement;

import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.microvm.MicroVmChange;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.node.Nodes;
import dev.vireo.controller.node.StoredNode;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.NodeResources;
import dev.vireo.proto.v1.NodeStatus;
import dev.vireo.proto.v1.NodeStatus.Health;
import dev.vireo.scheduler.Cluster;
import dev.vireo.scheduler.Decision;
import dev.vireo.scheduler.Ledger.Allocation;
import dev.vireo.scheduler.Request;
import dev.vireo.scheduler.Resources;
import dev.vireo.scheduler.Scheduler;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Chooses nodes and keeps the books. A choice reserves what it needs at once; the reservation
 * becomes the microVM's claim when its record is durable, or is {@link #settle settled} back.
 */
public final class Placer {
  private final MicroVms microVms;
  private final Nodes nodes;
  private final Scheduler scheduler;
  private final double cpuOvercommit;
  private final Timer placementTimer;
  private final Counter placed;
  private final Counter unplaceable;

  /** Guards the cluster, and holds a decision and its reservation together. */
  private final Object lock = new Object();

  private final Cluster cluster = new Cluster();

  /**
   * @param cpuOvercommit how many vCPUs may be promised for each CPU of a node
   */
  public Placer(
      MicroVms microVms,
      Nodes nodes,
      Scheduler scheduler,
      double cpuOvercommit,
      MeterRegistry meters) {
    this.microVms = microVms;
    this.nodes = nodes;
    this.scheduler = scheduler;
    this.cpuOvercommit = cpuOvercommit;
    this.placementTimer =
        Timer.builder("vireo.placement")
            .description("One decision of the scheduler")
            .publishPercentileHistogram()
            .register(meters);
    this.placed = decisions("placed", meters);
    this.unplaceable = decisions("unplaceable", meters);
    nodes.listen(node -> lookAt(node.id()));
    nodes.all().forEach(node -> lookAt(node.id()));
    microVms.listen(this::onChange);
    microVms.all().forEach(microVm -> settle(microVm.uid()));
  }

  private static Counter decisions(String outcome, MeterRegistry meters) {
    return Counter.builder("vireo.placement.decisions")
        .description("Decisions of the scheduler")
        .tag("outcome", outcome)
        .register(meters);
  }

  /**
   * Decides where a microVM goes and reserves its room there.
   *
   * @param avoid ids of nodes that have just refused it
   */
  public Decision place(String uid, MicroVmSpec spec, Set<String> avoid) {
    long start = System.nanoTime();
    Decision decision;
    synchronized (lock) {
      decision = decide(SchedulerTerms.request(spec, avoid));
      if (decision instanceof Decision.Placed choice) {
        cluster.reserve(uid, choice.nodeId(), SchedulerTerms.demand(spec));
      }
    }
    placementTimer.record(System.nanoTime() - start, java.util.concurrent.TimeUnit.NANOSECONDS);
    switch (decision) {
      case Decision.Placed _ -> placed.increment();
      case Decision.Unplaceable _ -> unplaceable.increment();
    }
    return decision;
  }

  /** Nobody tells of a lease's end, so it shows when the node is chosen, or {@link #lookAt}. */
  private Decision decide(Request request) {
    while (true) {
      Decision decision = scheduler.place(request, cluster);
      if (!(decision instanceof Decision.Placed(String nodeId, double _))
          || nodes.health(nodeId) == Health.READY) {
        return decision;
      }
      lookAt(nodeId);
    }
  }

  /** Brings what the scheduler knows of a node up to date. */
  public void lookAt(String nodeId) {
    synchronized (lock) {
      nodes
          .find(nodeId)
          .ifPresent(node ->
              cluster.put(nodeId, SchedulerTerms.kind(node, nodes.health(nodeId), cpuOvercommit)));
    }
  }

  /** Reserves room on the microVM's own node. Returns whether there is. */
  public boolean reserveAgain(MicroVm microVm) {
    Resources demand = SchedulerTerms.demand(microVm.getSpec());
    Optional<String> node = Lifecycle.nodeId(microVm).filter(id -> nodes.find(id).isPresent());
    synchronized (lock) {
      if (node.isEmpty()) {
        return true;
      }
      cluster.release(microVm.getMeta().getUid());
      if (!demand.fits(cluster.free(node.get()).orElse(Resources.NONE))) {
        return false;
      }
      cluster.reserve(microVm.getMeta().getUid(), node.get(), demand);
      return true;
    }
  }

  /** Makes the books say of a microVM what its record says, after a reservation came to nothing. */
  public void settle(String uid) {
    synchronized (lock) {
      Optional<StoredMicroVm> microVm = microVms.findByUid(uid);
      if (microVm.isPresent() && Lifecycle.holdsResources(microVm.get().microVm())) {
        claim(microVm.get().microVm());
      } else {
        cluster.release(uid);
      }
    }
  }

  /** A node as clients see it. */
  public dev.vireo.proto.v1.Node view(StoredNode node) {
    Allocation allocation;
    synchronized (lock) {
      allocation = cluster.allocation(node.id());
    }
    List<StoredMicroVm> assigned = microVms.on(node.id());
    return nodes.view(
        node,
        NodeStatus.newBuilder()
            .setAllocated(
                NodeResources.newBuilder()
                    .setCpuMilli(allocation.resources().cpuMilli())
                    .setMemoryMib(allocation.resources().memoryMib()))
            .setMicrovmCount(allocation.microVms())
            .setAssignedMicrovms(assigned.size())
            .setLeavingMicrovms(
                (int)
                    assigned.stream()
                        .filter(microVm -> Lifecycle.isLeaving(microVm.record()))
                        .count())
            .build());
  }

  private void onChange(MicroVmChange change) {
    synchronized (lock) {
      MicroVm microVm = change.microVm().microVm();
      if (change.present().isPresent() && Lifecycle.holdsResources(microVm)) {
        claim(microVm);
      } else if (change.present().isEmpty() || !Lifecycle.wantsPlacement(microVm)) {
        // One that waits for a node may have a reservation that is on its way to the store.
        cluster.release(microVm.getMeta().getUid());
      }
    }
  }

  private void claim(MicroVm microVm) {
    cluster.reserve(
        microVm.getMeta().getUid(),
        Lifecycle.nodeId(microVm).orElseThrow(),
        SchedulerTerms.demand(microVm.getSpec()));
  }
}
