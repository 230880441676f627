package dev.vireo.controller.lifecycle;

import static dev.vireo.controller.lifecycle.ConditionType.FINISHED;
import static dev.vireo.controller.lifecycle.ConditionType.PREPARED;
import static dev.vireo.controller.lifecycle.ConditionType.READY;
import static dev.vireo.controller.lifecycle.ConditionType.SCHEDULED;
import static dev.vireo.controller.lifecycle.ConditionType.STARTED;

import com.google.common.collect.ImmutableSet;
import com.google.common.collect.Sets;
import com.google.protobuf.Timestamp;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.store.v1.Eviction;
import dev.vireo.proto.store.v1.MicroVmRecord;
import dev.vireo.proto.store.v1.Rejection;
import dev.vireo.proto.store.v1.TombstoneRecord;
import dev.vireo.proto.time.Timestamps;
import dev.vireo.proto.v1.Condition.Status;
import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.DesiredState;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.ResourceMeta;
import dev.vireo.proto.v1.Termination;
import dev.vireo.proto.worker.v1.MicroVmReport;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What each event makes of a microVM's record. A function that returns its argument says that the
 * event changes nothing.
 */
public final class Lifecycle {
  private static final String NODES = "nodes/";

  /** States that are not a worker's to say. */
  private static final ImmutableSet<MicroVmState> DECIDED =
      Sets.immutableEnumSet(MicroVmState.PENDING, MicroVmState.SCHEDULED, MicroVmState.DELETING);

  /** More than a record comes to that is made now: that of an earlier release can be more. */
  private static final int LARGE_BYTES = 512 << 10;

  private Lifecycle() {}

  /** A new microVM, not yet placed. */
  public static MicroVmRecord created(
      String name,
      String uid,
      MicroVmSpec spec,
      Map<String, String> labels,
      Map<String, String> annotations,
      Instant now) {
    MicroVmSpec.Builder complete = spec.toBuilder();
    if (spec.getDesiredState() == DesiredState.DESIRED_STATE_UNSPECIFIED) {
      complete.setDesiredState(DesiredState.DESIRED_RUNNING);
    }
    MicroVm.Builder microVm =
        MicroVm.newBuilder()
            .setMeta(
                ResourceMeta.newBuilder()
                    .setName(name)
                    .setUid(uid)
                    .setGeneration(1)
                    .putAllLabels(labels)
                    .putAllAnnotations(annotations)
                    .setCreateTime(Timestamps.of(now))
                    .setUpdateTime(Timestamps.of(now)))
            .setSpec(complete);
    microVm.getStatusBuilder().setState(MicroVmState.PENDING);
    return MicroVmRecord.newBuilder().setMicrovm(microVm).build();
  }

  /** The scheduler's choice: a new attempt. */
  public static MicroVmRecord assigned(MicroVmRecord record, String nodeId, Instant now) {
    MicroVm.Builder microVm = record.getMicrovm().toBuilder();
    Timestamp time = Timestamps.of(now);
    microVm.getStatusBuilder().setNode(NODES + nodeId);
    Conditions.set(
        microVm,
        SCHEDULED,
        Status.TRUE,
        ConditionReason.ASSIGNED.apiName(),
        "to " + NODES + nodeId,
        time);
    newAttempt(microVm, time);
    return finish(record.toBuilder().clearRejection(), microVm, MicroVmState.SCHEDULED, now);
  }

  /** No node can take it now. */
  public static MicroVmRecord unplaceable(MicroVmRecord record, String why, Instant now) {
    return pending(record, ConditionReason.UNSCHEDULABLE, why, now);
  }

  /** The others of its gang are not all there, or one of them has no node. */
  public static MicroVmRecord waitingForGang(MicroVmRecord record, String why, Instant now) {
    return pending(record, ConditionReason.WAITING_FOR_GANG, why, now);
  }

  /** The node had no room after all: another may be tried, since nothing was begun. */
  public static MicroVmRecord refusedByNode(MicroVmRecord record, String why, Instant now) {
    return record.getMicrovm().getSpec().getDesiredState() == DesiredState.DESIRED_STOPPED
        ? stoppedBeforeStart(record, record.getMicrovm().toBuilder(), now)
        : pending(record, ConditionReason.REFUSED_BY_NODE, why, now);
  }

  /** Whether a node has refused it, and nothing has been said of the others since. */
  public static boolean isJustRefused(MicroVm microVm) {
    return Conditions.find(microVm, SCHEDULED)
        .filter(
            condition -> condition.getReason().equals(ConditionReason.REFUSED_BY_NODE.apiName()))
        .isPresent();
  }

  private static MicroVmRecord stoppedBeforeStart(
      MicroVmRecord record, MicroVm.Builder microVm, Instant now) {
    microVm.getStatusBuilder().clearNode();
    ended(
        microVm,
        ConditionReason.STOPPED_BEFORE_START.apiName(),
        "stopped before it had a node",
        Timestamps.of(now));
    return finish(record.toBuilder(), microVm, MicroVmState.STOPPED, now);
  }

  private static MicroVmRecord pending(
      MicroVmRecord record, ConditionReason reason, String why, Instant now) {
    MicroVm.Builder microVm = record.getMicrovm().toBuilder();
    microVm.getStatusBuilder().clearNode();
    Conditions.set(microVm, SCHEDULED, Status.FALSE, reason.apiName(), why, Timestamps.of(now));
    return finish(record.toBuilder(), microVm, MicroVmState.PENDING, now);
  }

  /**
   * A node's refusal of the spec itself, before any side effect: no other node would do better.
   *
   * @param rejection of a reason that the client can mend
   */
  public static MicroVmRecord rejected(MicroVmRecord record, Rejection rejection, Instant now) {
    MicroVm.Builder microVm = record.getMicrovm().toBuilder();
    microVm.getStatusBuilder().clearNode();
    fail(microVm, rejection, Timestamps.of(now));
    return finish(record.toBuilder().setRejection(rejection), microVm, MicroVmState.FAILED, now);
  }

  /** The node is lost for good, and with it this microVM: it is FAILED, or has to have another. */
  public static MicroVmRecord lostWithNode(MicroVmRecord record, NodeLoss loss, Instant now) {
    MicroVmRecord lost = record.toBuilder().clearEviction().build();
    MicroVm before = record.getMicrovm();
    String message = loss.message(before.getStatus().getNode());
    if (reschedules(before) && !Conditions.isTrue(before, FINISHED)) {
      return begunAnew(lost, loss.reason().apiName(), message, now);
    }
    MicroVm.Builder microVm = withoutNode(before);
    microVm
        .getStatusBuilder()
        .setTermination(
            Termination.newBuilder()
                .setCause(Termination.Cause.VMM_LOST)
                .setMessage(message)
                .setTime(Timestamps.of(now)));
    ended(microVm, loss.reason().apiName(), message, Timestamps.of(now));
    return finish(lost.toBuilder(), microVm, MicroVmState.FAILED, now);
  }

  /** It looks for another node, as if it had never had one. */
  private static MicroVmRecord begunAnew(
      MicroVmRecord record, String reason, String why, Instant now) {
    MicroVm.Builder microVm = withoutNode(record.getMicrovm());
    Timestamp time = Timestamps.of(now);
    clearEnd(microVm, time);
    for (ConditionType type : List.of(PREPARED, STARTED, READY)) {
      Conditions.set(microVm, type, Status.FALSE, ConditionReason.NOT_RUNNING.apiName(), "", time);
    }
    Conditions.set(microVm, SCHEDULED, Status.FALSE, reason, why, time);
    return finish(record.toBuilder().setMayHaveRun(true), microVm, MicroVmState.PENDING, now);
  }

  /** Whether a guest may have run, in this attempt or an earlier one. */
  public static boolean mayHaveRun(MicroVmRecord record) {
    return record.getMayHaveRun() || record.getMicrovm().getStatus().hasStartTime();
  }

  private static MicroVm.Builder withoutNode(MicroVm before) {
    MicroVm.Builder microVm = before.toBuilder();
    microVm.getStatusBuilder().clearNode().clearVsock().clearConsolePorts().clearNetworks();
    return microVm;
  }

  private static boolean reschedules(MicroVm microVm) {
    return microVm.getSpec().getLifecycle().getOnNodeLoss()
            == dev.vireo.proto.v1.Lifecycle.NodeLoss.NODE_LOSS_RESCHEDULE
        && microVm.getSpec().getDesiredState() != DesiredState.DESIRED_STOPPED;
  }

  /**
   * It is to leave its node, which is told to end and forget it. It keeps the node until that is
   * done ({@link #left}): nothing runs twice.
   *
   * @param reason of a condition
   * @param force the guest is not asked to power off
   */
  public static MicroVmRecord leaving(
      MicroVmRecord record, ConditionReason reason, String why, boolean force, Instant now) {
    if (record.hasEviction() && (record.getEviction().getForce() || !force)) {
      return record;
    }
    if (record.hasEviction()) {
      return record.toBuilder()
          .setEviction(record.getEviction().toBuilder().setForce(true))
          .build();
    }
    MicroVm.Builder microVm = record.getMicrovm().toBuilder();
    boolean ended = Conditions.isTrue(record.getMicrovm(), FINISHED);
    MicroVmRecord.Builder changed =
        record.toBuilder()
            .setEviction(
                Eviction.newBuilder()
                    .setReason(reason.apiName())
                    .setMessage(why)
                    .setForce(force)
                    .setEndedBefore(ended));
    Conditions.set(
        microVm,
        SCHEDULED,
        Status.TRUE,
        ConditionReason.LEAVING.apiName(),
        why,
        Timestamps.of(now));
    MicroVmState state = microVm.getStatus().getState();
    return finish(changed, microVm, ended ? state : MicroVmState.STOPPING, now);
  }

  /** Whether it is to leave its node. */
  public static boolean isLeaving(MicroVmRecord record) {
    return record.hasEviction();
  }

  /** Its node has let go of a microVM that was to leave. */
  public static MicroVmRecord left(MicroVmRecord record, Instant now) {
    Eviction eviction = record.getEviction();
    MicroVmRecord free = record.toBuilder().clearEviction().build();
    if (!eviction.getEndedBefore() && reschedules(record.getMicrovm())) {
      return begunAnew(free, eviction.getReason(), eviction.getMessage(), now);
    }
    MicroVm.Builder microVm = withoutNode(record.getMicrovm());
    Timestamp time = Timestamps.of(now);
    Conditions.set(
        microVm, SCHEDULED, Status.FALSE, eviction.getReason(), eviction.getMessage(), time);
    if (eviction.getEndedBefore()) {
      return finish(free.toBuilder(), microVm, microVm.getStatus().getState(), now);
    }
    ended(microVm, eviction.getReason(), eviction.getMessage(), time);
    boolean asked = microVm.getSpec().getDesiredState() == DesiredState.DESIRED_STOPPED;
    return finish(
        free.toBuilder(), microVm, asked ? MicroVmState.STOPPED : MicroVmState.FAILED, now);
  }

  /**
   * A worker's word about its current attempt: any outcome but REJECTED and REMOVED, which are
   * decisions and not observations.
   */
  public static MicroVmRecord reported(MicroVmRecord record, MicroVmReport report, Instant now) {
    if (DECIDED.contains(report.getState())) {
      return record;
    }
    MicroVm before = record.getMicrovm();
    MicroVmState state = stateAfter(record, before, report.getState());
    if (!Transitions.isLegal(before.getStatus().getState(), state)) {
      return record;
    }
    MicroVm.Builder microVm = before.toBuilder();
    MicroVmRecord.Builder changed = record.toBuilder();
    Timestamp time = Timestamps.of(now);
    microVm
        .getStatusBuilder()
        .setObservedGeneration(report.getObservedGeneration())
        .setRestarts(report.getRestarts());
    if (report.hasStartTime()) {
      microVm.getStatusBuilder().setStartTime(report.getStartTime());
    }
    if (report.hasTermination()) {
      microVm.getStatusBuilder().setTermination(report.getTermination());
    }
    if (report.hasVsock()) {
      microVm.getStatusBuilder().setVsock(report.getVsock());
    }
    if (report.getConsolePortsCount() > 0) {
      microVm
          .getStatusBuilder()
          .clearConsolePorts()
          .addAllConsolePorts(report.getConsolePortsList());
    }
    if (report.getNetworksCount() > 0) {
      microVm.getStatusBuilder().clearNetworks().addAllNetworks(report.getNetworksList());
    }
    observe(microVm, changed, report, time);
    return finish(changed, microVm, state, now);
  }

  private static void observe(
      MicroVm.Builder microVm, MicroVmRecord.Builder record, MicroVmReport report, Timestamp now) {
    if (report.getOutcome() == MicroVmReport.Outcome.OUTCOME_UNKNOWN) {
      Conditions.set(
          microVm,
          STARTED,
          Status.UNKNOWN,
          ConditionReason.UNKNOWN.apiName(),
          report.getMessage(),
          now);
      return;
    }
    switch (report.getState()) {
      case STARTING -> {
        inProgress(microVm, now);
        running(microVm, now);
      }
      case RUNNING, PAUSED, STOPPING -> {
        started(microVm, now);
        ready(microVm, report.getReady(), now);
        running(microVm, now);
      }
      case STOPPED -> {
        if (report.hasStartTime()) {
          started(microVm, now);
        }
        ended(
            microVm,
            ConditionReason.of(report.getTermination().getCause()),
            report.getTermination().getMessage(),
            now);
      }
      case FAILED -> {
        if (report.getReason().isEmpty()) {
          if (report.hasStartTime()) {
            started(microVm, now);
          }
          ended(
              microVm,
              ConditionReason.of(report.getTermination().getCause()),
              report.getTermination().getMessage(),
              now);
        } else {
          Rejection rejection = rejection(report);
          fail(microVm, rejection, now);
          record.setRejection(rejection);
        }
      }
      case MICRO_VM_STATE_UNSPECIFIED, PENDING, SCHEDULED, DELETING, UNRECOGNIZED -> {
        // Not told, or not a worker's to say.
      }
    }
  }

  /** Why a worker refused or failed, in the words of the catalogue. */
  public static Rejection rejection(MicroVmReport report) {
    return Rejection.newBuilder()
        .setReason(errorReason(report.getReason()).name())
        .setField(publicField(report.getField()))
        .setMessage(report.getMessage())
        .build();
  }

  /** Workers and VMMs speak of the spec's fields; clients see them from the resource. */
  private static String publicField(String field) {
    return field.isEmpty() || field.startsWith("spec.") ? field : "spec." + field;
  }

  /** The catalogue's reason of that name; INTERNAL for one that this release does not know. */
  public static ErrorReason errorReason(String name) {
    for (ErrorReason reason : ErrorReason.values()) {
      if (reason.name().equals(name)) {
        return reason;
      }
    }
    return ErrorReason.INTERNAL;
  }

  /**
   * A client's wish, for a microVM in a state that allows it (see {@link Steering}). What has ended
   * and shall run again needs {@link #startedAgain} instead.
   */
  public static MicroVmRecord steered(MicroVmRecord record, DesiredState wish, Instant now) {
    MicroVm before = record.getMicrovm();
    if (before.getSpec().getDesiredState() == wish) {
      return record;
    }
    MicroVm.Builder microVm = withGeneration(before);
    microVm.getSpecBuilder().setDesiredState(wish);
    MicroVmState state = before.getStatus().getState();
    if (wish == DesiredState.DESIRED_STOPPED && state == MicroVmState.PENDING) {
      return stoppedBeforeStart(record, microVm, now);
    }
    return finish(record.toBuilder(), microVm, stateAfter(record, microVm.build(), state), now);
  }

  /**
   * A client's wish for other sizes of memory, which the spec's devices allow for.
   *
   * @param spec with them; the same generation if nothing is different
   */
  public static MicroVmRecord resized(MicroVmRecord record, MicroVmSpec spec, Instant now) {
    MicroVm before = record.getMicrovm();
    return spec.equals(before.getSpec())
        ? record
        : finish(
            record.toBuilder(),
            withGeneration(before).setSpec(spec),
            before.getStatus().getState(),
            now);
  }

  /**
   * A client's wish for a console's size.
   *
   * @param port its index among the spec's console ports
   */
  public static MicroVmRecord resized(
      MicroVmRecord record, int port, ConsoleSize size, Instant now) {
    MicroVmSpec.Builder spec = record.getMicrovm().getSpec().toBuilder();
    spec.getVirtioConsoleBuilder().getPortsBuilder(port).setSize(size);
    return resized(record, spec.build(), now);
  }

  /** A microVM that has ended shall run again, where its disks are, or, never placed, anywhere. */
  public static MicroVmRecord startedAgain(MicroVmRecord record, Instant now) {
    MicroVm.Builder microVm = withGeneration(record.getMicrovm());
    microVm.getSpecBuilder().setDesiredState(DesiredState.DESIRED_RUNNING);
    if (microVm.getStatus().getNode().isEmpty()) {
      clearEnd(microVm, Timestamps.of(now));
      return finish(record.toBuilder().clearRejection(), microVm, MicroVmState.PENDING, now);
    }
    newAttempt(microVm, Timestamps.of(now));
    return finish(record.toBuilder().clearRejection(), microVm, MicroVmState.SCHEDULED, now);
  }

  /** A client's wish, or the end of its time to live, that the microVM be gone. */
  public static MicroVmRecord deleting(MicroVmRecord record, boolean force, Instant now) {
    MicroVm before = record.getMicrovm();
    boolean forced = record.getForceDelete() || force;
    if (before.getMeta().hasDeleteTime() && forced == record.getForceDelete()) {
      return record;
    }
    MicroVm.Builder microVm = before.toBuilder();
    if (record.getSerializedSize() > LARGE_BYTES) {
      lighten(microVm);
    }
    if (!before.getMeta().hasDeleteTime()) {
      microVm.getMetaBuilder().setDeleteTime(Timestamps.of(now));
    }
    return finish(record.toBuilder().setForceDelete(forced), microVm, MicroVmState.DELETING, now);
  }

  /**
   * Takes away what nobody needs of one that goes; what it takes of its node, and where it may be,
   * counts until it has gone.
   */
  private static void lighten(MicroVm.Builder microVm) {
    microVm.getMetaBuilder().clearAnnotations();
    microVm
        .getSpecBuilder()
        .clearBoot()
        .clearDisks()
        .clearNetworks()
        .clearConsole()
        .clearVirtioConsole()
        .clearContainer()
        .clearMetadata();
  }

  /** What is to be remembered of a microVM that is deleted though its node may still have it. */
  public static TombstoneRecord buried(MicroVmRecord record, Instant now) {
    MicroVm microVm = record.getMicrovm();
    return TombstoneRecord.newBuilder()
        .setName(microVm.getMeta().getName())
        .setUid(microVm.getMeta().getUid())
        .setNodeId(nodeId(microVm).orElseThrow())
        .setAttempt(microVm.getStatus().getAttempt())
        .setCreateTime(Timestamps.of(now))
        .build();
  }

  /** The id of the node that it is assigned to. */
  public static Optional<String> nodeId(MicroVm microVm) {
    String node = microVm.getStatus().getNode();
    return node.isEmpty() ? Optional.empty() : Optional.of(node.substring(NODES.length()));
  }

  public static boolean isOn(String nodeId, MicroVm microVm) {
    return microVm.getStatus().getNode().equals(NODES + nodeId);
  }

  public static boolean isDeleting(MicroVm microVm) {
    return microVm.getMeta().hasDeleteTime();
  }

  /** Whether it takes up room on its node. */
  public static boolean holdsResources(MicroVm microVm) {
    return nodeId(microVm).isPresent() && !Conditions.isTrue(microVm, FINISHED);
  }

  /** Whether the scheduler should look for a node. */
  public static boolean wantsPlacement(MicroVm microVm) {
    return microVm.getStatus().getState() == MicroVmState.PENDING;
  }

  /** When its time to live ends, if it has one. */
  public static Optional<Instant> expiry(MicroVm microVm) {
    if (!microVm.getSpec().getLifecycle().hasTtl()) {
      return Optional.empty();
    }
    Timestamp created = microVm.getMeta().getCreateTime();
    com.google.protobuf.Duration ttl = microVm.getSpec().getLifecycle().getTtl();
    return Optional.of(
        Instant.ofEpochSecond(
            created.getSeconds() + ttl.getSeconds(), created.getNanos() + ttl.getNanos()));
  }

  /** What a client sees when the worker says {@code observed}. */
  private static MicroVmState stateAfter(
      MicroVmRecord record, MicroVm microVm, MicroVmState observed) {
    if (isDeleting(microVm)) {
      return MicroVmState.DELETING;
    }
    boolean leaves = record.hasEviction() && !record.getEviction().getEndedBefore();
    boolean stop = microVm.getSpec().getDesiredState() == DesiredState.DESIRED_STOPPED;
    return switch (observed) {
      case SCHEDULED, STARTING, RUNNING, PAUSED ->
          stop || leaves ? MicroVmState.STOPPING : observed;
      // It has not stopped for good: what becomes of it shows when it has left.
      case STOPPED -> leaves ? MicroVmState.STOPPING : observed;
      case STOPPING, FAILED, PENDING, DELETING -> observed;
      case MICRO_VM_STATE_UNSPECIFIED, UNRECOGNIZED -> microVm.getStatus().getState();
    };
  }

  private static void newAttempt(MicroVm.Builder microVm, Timestamp now) {
    microVm.getStatusBuilder().setAttempt(microVm.getStatus().getAttempt() + 1);
    clearEnd(microVm, now);
    inProgress(microVm, now);
  }

  private static void clearEnd(MicroVm.Builder microVm, Timestamp now) {
    microVm.getStatusBuilder().clearTermination().clearStartTime();
    if (Conditions.find(microVm.build(), FINISHED).isPresent()) {
      running(microVm, now);
    }
  }

  private static void inProgress(MicroVm.Builder microVm, Timestamp now) {
    String reason = ConditionReason.IN_PROGRESS.apiName();
    Conditions.set(microVm, PREPARED, Status.FALSE, reason, "", now);
    Conditions.set(microVm, STARTED, Status.FALSE, reason, "", now);
    Conditions.set(microVm, READY, Status.FALSE, ConditionReason.NOT_RUNNING.apiName(), "", now);
  }

  private static void started(MicroVm.Builder microVm, Timestamp now) {
    Conditions.set(microVm, PREPARED, Status.TRUE, ConditionReason.PREPARED.apiName(), "", now);
    Conditions.set(microVm, STARTED, Status.TRUE, ConditionReason.STARTED.apiName(), "", now);
  }

  private static void ready(MicroVm.Builder microVm, boolean ready, Timestamp now) {
    Conditions.set(
        microVm,
        READY,
        ready ? Status.TRUE : Status.FALSE,
        (ready ? ConditionReason.READY : ConditionReason.NOT_READY).apiName(),
        "",
        now);
  }

  private static void running(MicroVm.Builder microVm, Timestamp now) {
    Conditions.set(microVm, FINISHED, Status.FALSE, ConditionReason.RUNNING.apiName(), "", now);
  }

  private static void ended(MicroVm.Builder microVm, String reason, String message, Timestamp now) {
    Conditions.set(microVm, READY, Status.FALSE, ConditionReason.NOT_RUNNING.apiName(), "", now);
    Conditions.set(microVm, FINISHED, Status.TRUE, reason, message, now);
  }

  private static void fail(MicroVm.Builder microVm, Rejection rejection, Timestamp now) {
    String reason = ConditionReason.of(errorReason(rejection.getReason()));
    String message =
        rejection.getField().isEmpty()
            ? rejection.getMessage()
            : rejection.getField() + ": " + rejection.getMessage();
    if (!Conditions.isTrue(microVm.build(), STARTED)) {
      Conditions.set(microVm, PREPARED, Status.FALSE, reason, message, now);
    }
    ended(microVm, reason, message, now);
  }

  private static MicroVm.Builder withGeneration(MicroVm before) {
    MicroVm.Builder microVm = before.toBuilder();
    microVm.getMetaBuilder().setGeneration(before.getMeta().getGeneration() + 1);
    return microVm;
  }

  /** Sets state and update time, unless nothing else has changed either. */
  private static MicroVmRecord finish(
      MicroVmRecord.Builder record, MicroVm.Builder microVm, MicroVmState state, Instant now) {
    microVm
        .getStatusBuilder()
        .setState(microVm.getMeta().hasDeleteTime() ? MicroVmState.DELETING : state);
    if (!microVm.build().equals(record.getMicrovm())) {
      microVm.getMetaBuilder().setUpdateTime(Timestamps.of(now));
    }
    return record.setMicrovm(microVm).build();
  }
}
