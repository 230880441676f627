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
import dev.vireo.scheduler.Decision;
import dev.vireo.scheduler.Ledger;
import dev.vireo.scheduler.Node;
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

  /** Guards the ledger, and holds a decision and its reservation together. */
  private final Object lock = new Object();

  private final Ledger ledger = new Ledger();

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
      decision = scheduler.place(SchedulerTerms.request(spec, avoid), snapshot());
      if (decision instanceof Decision.Placed choice) {
        ledger.reserve(uid, choice.nodeId(), SchedulerTerms.demand(spec));
      }
    }
    placementTimer.record(System.nanoTime() - start, java.util.concurrent.TimeUnit.NANOSECONDS);
    switch (decision) {
      case Decision.Placed _ -> placed.increment();
      case Decision.Unplaceable _ -> unplaceable.increment();
    }
    return decision;
  }

  /** Reserves room on the microVM's own node. Returns whether there is. */
  public boolean reserveAgain(MicroVm microVm) {
    Resources demand = SchedulerTerms.demand(microVm.getSpec());
    Optional<StoredNode> node = Lifecycle.nodeId(microVm).flatMap(nodes::find);
    synchronized (lock) {
      if (node.isEmpty()) {
        return true;
      }
      ledger.release(microVm.getMeta().getUid());
      Resources free = inSchedulerTerms(node.get()).free();
      if (demand.cpuMilli() > free.cpuMilli() || demand.memoryMib() > free.memoryMib()) {
        return false;
      }
      ledger.reserve(microVm.getMeta().getUid(), node.get().id(), demand);
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
        ledger.release(uid);
      }
    }
  }

  /** A node as clients see it. */
  public dev.vireo.proto.v1.Node view(StoredNode node) {
    Ledger.Allocation allocation;
    synchronized (lock) {
      allocation = ledger.allocation(node.id());
    }
    return nodes.view(
        node,
        NodeResources.newBuilder()
            .setCpuMilli(allocation.resources().cpuMilli())
            .setMemoryMib(allocation.resources().memoryMib())
            .build(),
        allocation.microVms());
  }

  private void onChange(MicroVmChange change) {
    synchronized (lock) {
      MicroVm microVm = change.microVm().microVm();
      if (change.present().isPresent() && Lifecycle.holdsResources(microVm)) {
        claim(microVm);
      } else if (change.present().isEmpty() || !Lifecycle.wantsPlacement(microVm)) {
        // One that waits for a node may have a reservation that is on its way to the store.
        ledger.release(microVm.getMeta().getUid());
      }
    }
  }

  private void claim(MicroVm microVm) {
    ledger.reserve(
        microVm.getMeta().getUid(),
        Lifecycle.nodeId(microVm).orElseThrow(),
        SchedulerTerms.demand(microVm.getSpec()));
  }

  private List<Node> snapshot() {
    return nodes.all().stream().map(this::inSchedulerTerms).toList();
  }

  private Node inSchedulerTerms(StoredNode node) {
    return SchedulerTerms.node(
        node, nodes.health(node.id()), cpuOvercommit, ledger.allocation(node.id()).resources());
  }
}
