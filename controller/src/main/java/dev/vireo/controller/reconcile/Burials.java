package dev.vireo.controller.reconcile;

import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.microvm.MicroVmChange;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.microvm.MicroVms.Verdict;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.microvm.Tombstones;
import dev.vireo.controller.node.Nodes;
import dev.vireo.controller.session.Sessions;
import dev.vireo.controller.session.WorkerSession;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.proto.store.v1.TombstoneRecord;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentSkipListSet;
import org.jboss.logging.Logger;

/**
 * Ends deletions whose node is gone, and has a node that comes back remove what was deleted
 * meanwhile. Level-triggered: each round does what is still to be done.
 *
 * <p>This is no reassignment by a time-out: nothing runs anywhere else instead. That the node may
 * still run the guest is what the tombstone says.
 */
final class Burials {
  private static final Logger LOG = Logger.getLogger(Burials.class);

  /** A node that is there and has not said that nothing is left is told again after this time. */
  private static final Duration REPEAT = Duration.ofSeconds(5);

  private final MicroVms microVms;
  private final Tombstones tombstones;
  private final Nodes nodes;
  private final Sessions sessions;
  private final Duration grace;
  private final TimeSource time;

  /** Uids of those that are to be deleted and have a node. */
  private final Set<String> deleting = new ConcurrentSkipListSet<>();

  /** By uid, when which session was told to remove it. */
  private final Map<String, Told> told = new HashMap<>();

  private record Told(WorkerSession session, long nanos) {}

  /**
   * @param grace for how long, after its lease has ended, a node is waited for
   */
  Burials(
      MicroVms microVms,
      Tombstones tombstones,
      Nodes nodes,
      Sessions sessions,
      Duration grace,
      TimeSource time) {
    this.microVms = microVms;
    this.tombstones = tombstones;
    this.nodes = nodes;
    this.sessions = sessions;
    this.grace = grace;
    this.time = time;
    microVms.listen(this::onChange);
    microVms.all().stream()
        .filter(microVm -> Lifecycle.isDeleting(microVm.microVm()))
        .forEach(microVm -> deleting.add(microVm.uid()));
  }

  private void onChange(MicroVmChange change) {
    String uid = change.microVm().uid();
    if (change.present().isPresent() && Lifecycle.isDeleting(change.microVm().microVm())) {
      deleting.add(uid);
    } else {
      deleting.remove(uid);
    }
  }

  /** How many are to be deleted and are not yet. */
  int waiting() {
    return deleting.size();
  }

  /** Does what is due. Blocks until that is durable. */
  void round() {
    for (String uid : deleting) {
      microVms.findByUid(uid).filter(this::isLost).ifPresent(this::bury);
    }
    if (!tombstones.isEmpty() || !told.isEmpty()) {
      tombstones.all().forEach(this::haveReaped);
      told.keySet().removeIf(uid -> tombstones.find(uid).isEmpty());
    }
  }

  private boolean isLost(StoredMicroVm microVm) {
    return Lifecycle.nodeId(microVm.microVm()).filter(id -> nodes.isLostFor(id, grace)).isPresent();
  }

  private void bury(StoredMicroVm lost) {
    microVms
        .update(
            lost.uid(),
            microVm ->
                Lifecycle.isDeleting(microVm.microVm()) && isLost(microVm)
                    ? new Verdict.Bury(Lifecycle.buried(microVm.record(), time.now()))
                    : new Verdict.Put(microVm.record()))
        .filter(_ -> microVms.findByUid(lost.uid()).isEmpty())
        .ifPresent(microVm ->
            LOG.warnf(
                "deleted without its node microvm=%s uid=%s %s",
                microVm.name(), microVm.uid(), microVm.microVm().getStatus().getNode()));
  }

  private void haveReaped(TombstoneRecord tombstone) {
    String uid = tombstone.getUid();
    Optional<WorkerSession> session = sessions.find(tombstone.getNodeId());
    if (session.isEmpty()) {
      return;
    }
    Told before = told.get(uid);
    if (before == null
        || before.session != session.get()
        || time.nanoTime() - before.nanos >= REPEAT.toNanos()) {
      told.put(uid, new Told(session.get(), time.nanoTime()));
      session.get().remove(uid);
    }
  }
}
