package dev.vireo.controller.placement;

import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.microvm.MicroVmChange;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.node.Nodes;
import dev.vireo.controller.node.StoredNode;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.NodeResources;
import dev.vireo.proto.v1.NodeStatus;
import dev.vireo.proto.v1.NodeStatus.Health;
import dev.vireo.scheduler.Cluster;
import dev.vireo.scheduler.Decision;
import dev.vireo.scheduler.Explanation;
import dev.vireo.scheduler.Ledger.Allocation;
import dev.vireo.scheduler.Peer;
import dev.vireo.scheduler.Preemption;
import dev.vireo.scheduler.Request;
import dev.vireo.scheduler.Resources;
import dev.vireo.scheduler.Scheduler;
import dev.vireo.scheduler.Together;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Chooses nodes and keeps the books. A choice reserves what it needs at once; the reservation
 * becomes the microVM's claim when its record is durable, or is {@link #settle settled} back.
 */
public final class Placer {
  private static final int CANDIDATES_TOLD = 5;

  private final MicroVms microVms;
  private final Nodes nodes;
  private final Scheduler scheduler;
  private final Timer placementTimer;
  private final Counter placed;
  private final Counter unplaceable;

  /** Guards the cluster, and holds a decision and its reservation together. */
  private final Object lock = new Object();

  private final Cluster cluster = new Cluster();

  /**
   * By uid, the thread that has decided, until it {@link #settle settles}: what it has reserved is
   * on its way to the store, and not another's to give back.
   */
  private final Map<String, Thread> deciding = new HashMap<>();

  /** Who leaves for which pending microVM. */
  private final Map<String, Preemption> nominations = new HashMap<>();

  public Placer(MicroVms microVms, Nodes nodes, Scheduler scheduler, MeterRegistry meters) {
    this.microVms = microVms;
    this.nodes = nodes;
    this.scheduler = scheduler;
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
    microVms.listenToDoubts(this::settle);
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
  public Decision place(MicroVm microVm, Set<String> avoid) {
    Request request = SchedulerTerms.request(microVm, avoid);
    long start = System.nanoTime();
    Decision decision;
    String uid = microVm.getMeta().getUid();
    synchronized (lock) {
      deciding.put(uid, Thread.currentThread());
      cluster.release(uid);
      decision = decide(request);
      switch (decision) {
        case Decision.Placed(String nodeId, double _) -> {
          nominations.remove(uid);
          cluster.reserve(uid, nodeId, request.demand(), request.peer());
        }
        case Decision.Unplaceable _ -> holdNominated(uid);
      }
    }
    placementTimer.record(System.nanoTime() - start, java.util.concurrent.TimeUnit.NANOSECONDS);
    switch (decision) {
      case Decision.Placed _ -> placed.increment();
      case Decision.Unplaceable _ -> unplaceable.increment();
    }
    return decision;
  }

  /**
   * Finds nodes for all of a gang and reserves their room, or for none.
   *
   * @param avoid by uid, ids of nodes that have just refused it
   */
  public Together placeTogether(List<MicroVm> gang, Function<String, Set<String>> avoid) {
    Map<String, Request> requests = new HashMap<>();
    for (MicroVm member : gang) {
      String uid = member.getMeta().getUid();
      requests.put(uid, SchedulerTerms.request(member, avoid.apply(uid)));
    }
    synchronized (lock) {
      requests.keySet().forEach(uid -> deciding.put(uid, Thread.currentThread()));
      requests.keySet().forEach(cluster::release);
      while (true) {
        Together together = scheduler.placeTogether(requests, cluster);
        if (!(together instanceof Together.Placed(Map<String, String> chosen))
            || chosen.values().stream().allMatch(id -> nodes.health(id) == Health.READY)) {
          return together;
        }
        chosen.keySet().forEach(cluster::release);
        chosen.values().forEach(this::lookAt);
      }
    }
  }

  /**
   * Chooses who has to leave for a microVM that has no node, and holds the room for it until it is
   * placed. Empty if nobody is less important where it could go, or those chosen before are still
   * on their way; those chosen before if some of them have not been told to leave.
   */
  public Optional<Preemption> preempt(MicroVm microVm, Set<String> avoid) {
    Request request = SchedulerTerms.request(microVm, avoid);
    String uid = microVm.getMeta().getUid();
    synchronized (lock) {
      Preemption standing = nominations.get(uid);
      if (standing != null && isUnderWay(standing)) {
        return isTold(standing) ? Optional.empty() : Optional.of(standing);
      }
      nominations.remove(uid);
      cluster.release(uid);
      Optional<Preemption> preemption = scheduler.preempt(request, cluster);
      preemption.ifPresent(chosen -> {
        nominations.put(uid, chosen);
        holdNominated(uid);
      });
      return preemption;
    }
  }

  private boolean isUnderWay(Preemption preemption) {
    return nodes.health(preemption.nodeId()) == Health.READY
        && stillThere(preemption).findAny().isPresent();
  }

  /** The store may have failed before each of them was. */
  private boolean isTold(Preemption preemption) {
    return stillThere(preemption)
        .allMatch(victim ->
            Lifecycle.isLeaving(victim.record()) || Lifecycle.isDeleting(victim.microVm()));
  }

  private Stream<StoredMicroVm> stillThere(Preemption preemption) {
    return preemption.victims().stream()
        .flatMap(victim -> microVms.findByUid(victim).stream())
        .filter(victim -> Lifecycle.isOn(preemption.nodeId(), victim.microVm()));
  }

  /** The room that others leave is not given away meanwhile, nor can it be preempted. */
  private void holdNominated(String uid) {
    Preemption nomination = nominations.get(uid);
    Optional<StoredMicroVm> microVm = microVms.findByUid(uid);
    if (nomination != null && microVm.isPresent()) {
      Peer peer = PlacementTerms.peer(microVm.get().microVm());
      cluster.reserve(
          uid,
          nomination.nodeId(),
          SchedulerTerms.demand(microVm.get().microVm().getSpec()),
          new Peer(peer.project(), peer.labels(), Integer.MAX_VALUE, peer.rules()));
    }
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

  /**
   * What is to be said of a microVM's place.
   *
   * @param refused which nodes are refused, and why
   * @param candidates the best of the others, the best first; and its own, if that is one of them
   * @param withImage ids of those candidates that have the container's image
   */
  public record Reasons(
      Explanation refused, List<Decision.Placed> candidates, Set<String> withImage) {}

  /** Explains where a microVM would go now, were it to be placed anew. */
  public Reasons explain(MicroVm microVm, Set<String> avoid) {
    Request request = SchedulerTerms.request(microVm, avoid);
    Optional<String> own = Lifecycle.nodeId(microVm);
    String uid = microVm.getMeta().getUid();
    synchronized (lock) {
      boolean claims = hasClaim(uid);
      if (claims) {
        cluster.release(uid);
      }
      try {
        List<Decision.Placed> ranked = scheduler.rank(request, cluster, Integer.MAX_VALUE);
        List<Decision.Placed> told =
            Stream.concat(
                    ranked.stream().limit(CANDIDATES_TOLD),
                    ranked.stream()
                        .skip(CANDIDATES_TOLD)
                        .filter(node -> own.filter(node.nodeId()::equals).isPresent()))
                .toList();
        return new Reasons(
            scheduler.explain(request, cluster), told, withImage(request.containerImage(), told));
      } finally {
        if (claims) {
          restore(uid);
        }
      }
    }
  }

  /** What another thread has reserved for it, or what is in doubt, is not touched. */
  private boolean hasClaim(String uid) {
    return !deciding.containsKey(uid)
        && !microVms.isInDoubt(uid)
        && microVms
            .findByUid(uid)
            .filter(microVm -> Lifecycle.holdsResources(microVm.microVm()))
            .isPresent();
  }

  private Set<String> withImage(
      Optional<Request.ContainerImage> image, List<Decision.Placed> candidates) {
    return candidates.stream()
        .map(Decision.Placed::nodeId)
        .filter(id -> image.filter(of -> cluster.hasContainerImage(id, of.name())).isPresent())
        .collect(Collectors.toSet());
  }

  /** Brings what the scheduler knows of a node up to date. */
  public void lookAt(String nodeId) {
    synchronized (lock) {
      nodes
          .find(nodeId)
          .ifPresent(node -> {
            cluster.put(nodeId, SchedulerTerms.kind(node, nodes.health(nodeId)));
            cluster.putContainerImages(
                nodeId, SchedulerTerms.containerImages(nodes.containerImages(nodeId)));
          });
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
      deciding.put(microVm.getMeta().getUid(), Thread.currentThread());
      cluster.release(microVm.getMeta().getUid());
      if (!demand.fits(cluster.free(node.get()).orElse(Resources.NONE))) {
        return false;
      }
      cluster.reserve(microVm.getMeta().getUid(), node.get(), demand, PlacementTerms.peer(microVm));
      return true;
    }
  }

  /**
   * Makes the books say of a microVM what its record says, after a reservation came to nothing; not
   * yet of one that is {@linkplain MicroVms#isInDoubt in doubt}.
   */
  public void settle(String uid) {
    synchronized (lock) {
      if (!isDecidedElsewhere(uid) && !microVms.isInDoubt(uid)) {
        restore(uid);
      }
    }
  }

  /** The record may have changed since anybody last looked at it. */
  private void restore(String uid) {
    Optional<StoredMicroVm> microVm = microVms.findByUid(uid);
    if (microVm.isPresent() && Lifecycle.holdsResources(microVm.get().microVm())) {
      claim(microVm.get().microVm());
      return;
    }
    cluster.release(uid);
    if (microVm.isPresent() && Lifecycle.wantsPlacement(microVm.get().microVm())) {
      holdNominated(uid);
    } else {
      nominations.remove(uid);
    }
  }

  /**
   * Whether another thread has decided, which settles this itself; this one's is over with this.
   */
  private boolean isDecidedElsewhere(String uid) {
    Thread decider = deciding.get(uid);
    if (decider != null && !decider.equals(Thread.currentThread())) {
      return true;
    }
    deciding.remove(uid);
    return false;
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
        nominations.remove(microVm.getMeta().getUid());
      }
    }
  }

  private void claim(MicroVm microVm) {
    nominations.remove(microVm.getMeta().getUid());
    cluster.reserve(
        microVm.getMeta().getUid(),
        Lifecycle.nodeId(microVm).orElseThrow(),
        SchedulerTerms.demand(microVm.getSpec()),
        PlacementTerms.peer(microVm));
  }
}
