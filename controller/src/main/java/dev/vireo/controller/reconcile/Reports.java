package dev.vireo.controller.reconcile;

import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.lifecycle.NodeLoss;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.microvm.MicroVms.Verdict;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.microvm.Tombstones;
import dev.vireo.controller.session.Sessions;
import dev.vireo.controller.session.WorkerSession;
import dev.vireo.controller.store.StoreException;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.controller.tracing.CreateTraces;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.store.v1.TombstoneRecord;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.Executor;
import java.util.function.Consumer;
import org.jboss.logging.Logger;

/**
 * Turns what workers say about microVMs into records.
 *
 * <p>A report is about one attempt on one node. One that is not about the present assignment
 * changes nothing, but a node that still has what it should not is told to let go. Only a refusal
 * before any side effect lets another node be tried.
 */
public final class Reports {
  private static final Logger LOG = Logger.getLogger(Reports.class);

  /**
   * How long "in progress" may wait to be made durable: most often "created" follows at once, and
   * the second durable write of a create is that one.
   */
  private static final Duration PATIENCE = Duration.ofMillis(100);

  private static final Duration RETRY_PAUSE = Duration.ofMillis(500);

  private final MicroVms microVms;
  private final Tombstones tombstones;
  private final PendingMicroVms pending;
  private final Sessions sessions;
  private final TimeSource time;
  private final CreateTraces traces;
  private final Apart apart = new Apart();
  private final Timer timer;
  private final Coalescer<Subject, MicroVmReport> coalescer;

  /**
   * A node's last word about a microVM takes the place of that node's earlier ones, of no other's.
   */
  private record Subject(String uid, String nodeId) {}

  /**
   * @param executor runs a blocking task for each microVM and node that reports about it
   */
  public Reports(
      MicroVms microVms,
      Tombstones tombstones,
      PendingMicroVms pending,
      Sessions sessions,
      TimeSource time,
      MeterRegistry meters,
      CreateTraces traces,
      Executor executor) {
    this.microVms = microVms;
    this.tombstones = tombstones;
    this.pending = pending;
    this.sessions = sessions;
    this.time = time;
    this.traces = traces;
    this.timer =
        Timer.builder("vireo.reconcile.report")
            .description("A worker's report made durable")
            .publishPercentileHistogram()
            .register(meters);
    this.coalescer =
        new Coalescer<>(this::handle, Reports::isProgressOnly, PATIENCE, time, executor);
    Gauge.builder("vireo.reconcile.reports", coalescer, Coalescer::size)
        .description("MicroVMs with a report that is not yet durable")
        .register(meters);
  }

  /** Takes a report. Does not block. */
  void submit(String nodeId, MicroVmReport report) {
    coalescer.submit(new Subject(report.getUid(), nodeId), report);
  }

  private static boolean isProgressOnly(MicroVmReport report) {
    return report.getOutcome() == Outcome.IN_PROGRESS && report.getState() == MicroVmState.STARTING;
  }

  private void handle(Subject subject, MicroVmReport report) {
    try {
      traces.report(
          subject.nodeId,
          report,
          () ->
              // What cannot be written now cannot be written later: it is dropped.
              apart.run(
                  subject.uid,
                  () -> timer.record(() -> reconcile(subject.uid, subject.nodeId, report))));
    } catch (StoreException.NotLeader _) {
      LOG.debugf(
          "report uid=%s node=%s: the worker repeats it to the leader",
          subject.uid, subject.nodeId);
    } catch (StoreException e) {
      LOG.warnf(
          "cannot record report uid=%s node=%s: %s", subject.uid, subject.nodeId, e.getMessage());
      pause();
      // The worker will not repeat it, so it is not dropped; a newer one takes its place.
      coalescer.resubmit(subject, report);
    } catch (RuntimeException e) {
      LOG.errorf(e, "bug: report uid=%s node=%s %s", subject.uid, subject.nodeId, report);
    }
  }

  private void pause() {
    try {
      time.sleep(RETRY_PAUSE);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Makes the record say what the report says. Blocks until that is durable. */
  void reconcile(String uid, String nodeId, MicroVmReport report) {
    Optional<StoredMicroVm> known = microVms.findByUid(uid);
    if (known.isEmpty() || !Lifecycle.isOn(nodeId, known.get().microVm())) {
      if (report.getOutcome() != Outcome.REMOVED && report.getOutcome() != Outcome.REJECTED) {
        LOG.infof("stray microvm uid=%s node=%s: told to remove it", uid, nodeId);
        toSession(nodeId, session -> session.remove(uid));
      } else if (known.isEmpty()) {
        reaped(uid, nodeId, report);
      }
      return;
    }
    Optional<StoredMicroVm> after =
        microVms.update(
            uid,
            microVm ->
                Lifecycle.isOn(nodeId, microVm.microVm())
                    ? verdict(microVm, nodeId, report)
                    : new Verdict.Put(microVm.record()));
    after.ifPresent(microVm -> log(known.get(), microVm, report));
    if (report.getOutcome() == Outcome.REJECTED || report.getOutcome() == Outcome.REMOVED) {
      pending.settle(uid);
    }
    if (report.getOutcome() == Outcome.REMOVED
        && Lifecycle.holdsResources(known.get().microVm())
        && !Lifecycle.isDeleting(known.get().microVm())
        && !Lifecycle.isLeaving(known.get().record())) {
      toSession(nodeId, session -> session.repeat(uid));
    }
  }

  /** The node has nothing left of a microVM that was deleted while the node was gone. */
  private void reaped(String uid, String nodeId, MicroVmReport report) {
    tombstones
        .find(uid)
        .filter(tombstone -> tombstone.getNodeId().equals(nodeId))
        .filter(tombstone -> says(report, Outcome.REMOVED, tombstone.getAttempt()))
        .ifPresent(tombstone -> {
          tombstones.remove(uid);
          LOG.infof("reaped microvm=%s uid=%s node=%s", tombstone.getName(), uid, nodeId);
        });
  }

  /** Whether it is about this attempt, or, as a node that knows nothing of the uid says, any. */
  private static boolean says(MicroVmReport report, Outcome outcome, long attempt) {
    return report.getOutcome() == outcome
        && (report.getAttempt() == attempt || report.getAttempt() == 0);
  }

  private Verdict verdict(StoredMicroVm microVm, String nodeId, MicroVmReport report) {
    long attempt = microVm.microVm().getStatus().getAttempt();
    if (Lifecycle.isDeleting(microVm.microVm()) && says(report, Outcome.REMOVED, attempt)) {
      return new Verdict.Remove();
    }
    if (report.getAttempt() != attempt) {
      return new Verdict.Put(microVm.record());
    }
    boolean nothingLeft =
        report.getOutcome() == Outcome.REMOVED || report.getOutcome() == Outcome.REJECTED;
    if (Lifecycle.isDeleting(microVm.microVm()) && nothingLeft) {
      return new Verdict.Remove();
    }
    if (Lifecycle.isLeaving(microVm.record()) && nothingLeft) {
      // Of this very attempt: an answer to an earlier Removal would let it run twice.
      return new Verdict.Put(Lifecycle.left(microVm.record(), time.now()));
    }
    return switch (report.getOutcome()) {
      case REJECTED -> rejected(microVm, nodeId, report);
      case IN_PROGRESS, CREATED, FAILED_NEEDS_CLEANUP, OUTCOME_UNKNOWN ->
          new Verdict.Put(Lifecycle.reported(microVm.record(), report, time.now()));
      case REMOVED, FENCED, OUTCOME_UNSPECIFIED, UNRECOGNIZED -> new Verdict.Put(microVm.record());
    };
  }

  private Verdict rejected(StoredMicroVm microVm, String nodeId, MicroVmReport report) {
    ErrorReason reason = Lifecycle.errorReason(report.getReason());
    if (reason.code() == ErrorReason.Code.INVALID_ARGUMENT) {
      return new Verdict.Put(
          Lifecycle.rejected(microVm.record(), Lifecycle.rejection(report), time.now()));
    }
    pending.avoid(microVm.uid(), nodeId, "%s (%s)".formatted(report.getMessage(), reason.name()));
    // Another node is found for it once this is durable: until then the room on this one is its
    // own.
    return new Verdict.Put(
        Lifecycle.refusedByNode(microVm.record(), report.getMessage(), time.now()));
  }

  /**
   * Takes the node's word that it has nothing of a microVM. As a report, so that one that cannot be
   * recorded now is not forgotten. Does not block.
   */
  void absent(String nodeId, String uid) {
    submit(
        nodeId,
        MicroVmReport.newBuilder()
            .setUid(uid)
            .setOutcome(Outcome.REMOVED)
            .setState(MicroVmState.STOPPED)
            .build());
  }

  /**
   * The node is lost for good, and what it ran with it, but for those whose record no store takes:
   * they stay where they are.
   */
  void lostWithNode(String nodeId, NodeLoss loss) {
    for (TombstoneRecord tombstone : tombstones.all()) {
      if (tombstone.getNodeId().equals(nodeId)) {
        tombstones.remove(tombstone.getUid());
      }
    }
    for (StoredMicroVm lost : microVms.on(nodeId)) {
      apart.run(lost.uid(), () -> lostWithNode(nodeId, lost.uid(), loss));
    }
  }

  private void lostWithNode(String nodeId, String uid, NodeLoss loss) {
    microVms.update(uid, microVm -> lostWithNode(nodeId, microVm, loss));
    pending.settle(uid);
    // Should the node be there after all.
    toSession(nodeId, session -> session.remove(uid));
  }

  private Verdict lostWithNode(String nodeId, StoredMicroVm microVm, NodeLoss loss) {
    if (!Lifecycle.isOn(nodeId, microVm.microVm())) {
      return new Verdict.Put(microVm.record());
    }
    return Lifecycle.isDeleting(microVm.microVm())
        ? new Verdict.Remove()
        : new Verdict.Put(Lifecycle.lostWithNode(microVm.record(), loss, time.now()));
  }

  private void toSession(String nodeId, Consumer<WorkerSession> message) {
    sessions.find(nodeId).ifPresent(message);
  }

  private static void log(StoredMicroVm before, StoredMicroVm after, MicroVmReport report) {
    MicroVmState from = before.microVm().getStatus().getState();
    MicroVmState to = after.microVm().getStatus().getState();
    if (from != to) {
      LOG.infof(
          "state microvm=%s uid=%s from=%s to=%s attempt=%d outcome=%s reason=%s",
          after.name(),
          after.uid(),
          from,
          to,
          report.getAttempt(),
          report.getOutcome(),
          report.getReason());
    }
  }
}
