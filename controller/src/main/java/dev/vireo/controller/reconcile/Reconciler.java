package dev.vireo.controller.reconcile;

import dev.vireo.controller.leader.Leadership;
import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.lifecycle.NodeLoss;
import dev.vireo.controller.microvm.MicroVmChange;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.microvm.MicroVms.Verdict;
import dev.vireo.controller.microvm.Tombstones;
import dev.vireo.controller.node.Nodes;
import dev.vireo.controller.session.NodeEvents;
import dev.vireo.controller.session.Sessions;
import dev.vireo.controller.store.StoreException;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.proto.worker.v1.MicroVmReport;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jboss.logging.Logger;

/**
 * Keeps things going that nobody asks for, or not now: pending microVMs when there may be room for
 * them, times to live, nodes' leases, nodes that are to be empty. Only the leader does.
 *
 * <p>One thread goes round ({@link #run}); a test goes round by itself ({@link #round}).
 */
public final class Reconciler implements NodeEvents, Runnable {
  private static final Logger LOG = Logger.getLogger(Reconciler.class);

  /** How late a lease's or a life's end may be noticed. */
  private static final Duration PERIOD = Duration.ofMillis(200);

  /** How often pending microVMs are tried though nothing is known to have changed, and told why. */
  static final Duration EXPLAIN_PERIOD = Duration.ofSeconds(5);

  private final MicroVms microVms;
  private final Nodes nodes;
  private final Reports reports;
  private final PendingMicroVms pending;
  private final Leadership leadership;
  private final Apart apart = new Apart();
  private final Leases leases;
  private final Deadlines deadlines;
  private final Departures departures;
  private final Burials burials;
  private final TimeSource time;
  private final ReentrantLock roomLock = new ReentrantLock();
  private final Condition roomCondition = roomLock.newCondition();
  private boolean roomChanged;
  private long lastExplanation;
  private final Timer roundTimer;
  private volatile boolean closed;

  /**
   * @param deleteGrace for how long, after its lease has ended, a node is waited for that has what
   *     is to be deleted
   */
  public Reconciler(
      MicroVms microVms,
      Tombstones tombstones,
      Nodes nodes,
      Sessions sessions,
      Reports reports,
      PendingMicroVms pending,
      Duration deleteGrace,
      Leadership leadership,
      TimeSource time,
      MeterRegistry meters) {
    this.microVms = microVms;
    this.nodes = nodes;
    this.reports = reports;
    this.pending = pending;
    this.leadership = leadership;
    this.leases = new Leases(nodes, sessions, time);
    this.deadlines = new Deadlines(microVms, time);
    this.departures = new Departures(microVms, nodes, reports, apart, time);
    this.burials = new Burials(microVms, tombstones, nodes, sessions, deleteGrace, time);
    this.time = time;
    this.lastExplanation = time.nanoTime();
    this.roundTimer =
        Timer.builder("vireo.reconcile.round")
            .description("Leases, times to live, departures, deletions, and who is pending: once")
            .publishPercentileHistogram()
            .register(meters);
    Gauge.builder("vireo.leader", leadership, it -> it.leads() ? 1 : 0)
        .description("Whether this controller leads")
        .register(meters);
    Gauge.builder("vireo.deletions", burials, Burials::waiting)
        .description("MicroVMs that are to be deleted, and wait for their node")
        .register(meters);
    Gauge.builder("vireo.tombstones", tombstones, Tombstones::size)
        .description("MicroVMs that were deleted without their node, which may still run them")
        .register(meters);
    microVms.listen(this::onChange);
    microVms.listenToDoubts(_ -> roomChanged());
    nodes.listen(node -> nodeChanged(node.id()));
  }

  // ---- events

  @Override
  public void reported(String nodeId, MicroVmReport report) {
    reports.submit(nodeId, report);
  }

  @Override
  public void absent(String nodeId, String uid) {
    reports.absent(nodeId, uid);
  }

  @Override
  public void nodeChanged(String nodeId) {
    roomChanged();
  }

  @Override
  public void workerReplaced(String nodeId) {
    LOG.warnf("worker replaced node=%s: what it ran is lost", nodeId);
    reports.lostWithNode(nodeId, NodeLoss.REPLACED);
    nodes.lossesRecorded(nodeId);
  }

  private void onChange(MicroVmChange change) {
    if (!Lifecycle.holdsResources(change.microVm().microVm()) || change.present().isEmpty()) {
      roomChanged();
    }
  }

  // ---- the thread

  @Override
  public void run() {
    while (!closed) {
      try {
        boolean room = awaitRoom();
        if (leadership.leads()) {
          round(room);
        } else {
          settleDoubts();
        }
      } catch (InterruptedException e) {
        return;
      } catch (StoreException e) {
        LOG.warnf("reconcile: %s", e.getMessage());
      } catch (RuntimeException e) {
        LOG.error("bug in reconcile", e);
      }
    }
  }

  /** Waits for news of room, but no longer than a period; returns whether there was any. */
  private boolean awaitRoom() throws InterruptedException {
    roomLock.lock();
    try {
      long left = PERIOD.toNanos();
      while (!roomChanged && left > 0) {
        left = time.await(roomLock, roomCondition, left);
      }
      boolean changed = roomChanged;
      roomChanged = false;
      return changed;
    } finally {
      roomLock.unlock();
    }
  }

  private void roomChanged() {
    roomLock.lock();
    try {
      roomChanged = true;
      roomCondition.signal();
    } finally {
      roomLock.unlock();
    }
  }

  /** Ends {@link #run}. */
  public void close() {
    closed = true;
    roomChanged();
  }

  /**
   * Does once what is due.
   *
   * @param room whether there may be room for what is pending
   */
  void round(boolean room) {
    roundTimer.record(() -> doRound(room));
  }

  private void doRound(boolean room) {
    leases.round();
    settleDoubts();
    deadlines.due().forEach(uid -> apart.run(uid, () -> expire(uid)));
    departures.round();
    burials.round();
    boolean explain = time.nanoTime() - lastExplanation >= EXPLAIN_PERIOD.toNanos();
    if (explain) {
      lastExplanation = time.nanoTime();
    }
    if (room || explain) {
      pending.placeAll(explain);
    }
  }

  /** While the store does not answer they stay, and so does what is reserved for them. */
  private void settleDoubts() {
    try {
      var _ = microVms.settleDoubts();
    } catch (StoreException.Unavailable e) {
      LOG.debugf("in doubt still: %s", e.getMessage());
    }
  }

  private void expire(String uid) {
    microVms
        .update(
            uid,
            microVm ->
                Lifecycle.nodeId(microVm.microVm()).isEmpty()
                    ? new Verdict.Remove()
                    : new Verdict.Put(Lifecycle.deleting(microVm.record(), false, time.now())))
        .ifPresent(microVm -> LOG.infof("expired microvm=%s uid=%s", microVm.name(), uid));
  }
}
