package dev.vireo.controller.lifecycle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Timestamp;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.store.v1.MicroVmRecord;
import dev.vireo.proto.store.v1.Rejection;
import dev.vireo.proto.time.Timestamps;
import dev.vireo.proto.v1.Condition;
import dev.vireo.proto.v1.ConsolePortStatus;
import dev.vireo.proto.v1.DesiredState;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.proto.v1.Termination;
import dev.vireo.proto.v1.VsockStatus;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

final class LifecycleTest {
  private static final Instant T0 = Instant.parse("2026-01-01T00:00:00Z");
  private static final Instant T1 = T0.plusSeconds(1);
  private static final Instant T2 = T0.plusSeconds(2);

  private final MicroVmRecord created =
      Lifecycle.created(
          "projects/p/microvms/vm",
          "uid",
          MicroVmSpec.newBuilder().setVcpus(1).setMemoryMib(64).build(),
          Map.of("app", "x"),
          Map.of(),
          T0);
  private final MicroVmRecord assigned = Lifecycle.assigned(created, "a", T0);

  @Test
  void aNewOneWaitsAndWantsToRun() {
    assertEquals(MicroVmState.PENDING, state(created));
    assertEquals(DesiredState.DESIRED_RUNNING, created.getMicrovm().getSpec().getDesiredState());
    assertEquals(1, created.getMicrovm().getMeta().getGeneration());
    assertTrue(Lifecycle.wantsPlacement(created.getMicrovm()));
    assertFalse(Lifecycle.holdsResources(created.getMicrovm()));
  }

  @Test
  void anAssignmentIsAnAttempt() {
    assertEquals(MicroVmState.SCHEDULED, state(assigned));
    assertEquals(1, assigned.getMicrovm().getStatus().getAttempt());
    assertEquals(Optional.of("a"), Lifecycle.nodeId(assigned.getMicrovm()));
    assertTrue(Conditions.isTrue(assigned.getMicrovm(), ConditionType.SCHEDULED));
    assertTrue(Lifecycle.holdsResources(assigned.getMicrovm()));
  }

  @Test
  void whyThereIsNoNodeIsSaidOnceAndTheSameSayingChangesNothing() {
    MicroVmRecord waiting = Lifecycle.unplaceable(created, "0 of 1 node: 1 is arm64", T1);
    Condition condition =
        Conditions.find(waiting.getMicrovm(), ConditionType.SCHEDULED).orElseThrow();

    assertEquals(Condition.Status.FALSE, condition.getStatus());
    assertEquals("Unschedulable", condition.getReason());
    assertEquals("0 of 1 node: 1 is arm64", condition.getMessage());
    assertEquals(waiting, Lifecycle.unplaceable(waiting, "0 of 1 node: 1 is arm64", T2));
  }

  @Test
  void aTransitionTimeMovesOnlyWithTheStatus() {
    MicroVmRecord waiting = Lifecycle.unplaceable(created, "one", T1);
    MicroVmRecord stillWaiting = Lifecycle.unplaceable(waiting, "two", T2);

    assertEquals(
        Timestamps.of(T1),
        Conditions.find(stillWaiting.getMicrovm(), ConditionType.SCHEDULED)
            .orElseThrow()
            .getLastTransitionTime());
  }

  @Test
  void itRunsIsReadyAndPowersOff() {
    MicroVmRecord starting = Lifecycle.reported(assigned, report(MicroVmState.STARTING), T1);
    assertEquals(MicroVmState.STARTING, state(starting));

    MicroVmRecord running = Lifecycle.reported(starting, report(MicroVmState.RUNNING), T1);
    assertEquals(MicroVmState.RUNNING, state(running));
    assertTrue(Conditions.isTrue(running.getMicrovm(), ConditionType.PREPARED));
    assertTrue(Conditions.isTrue(running.getMicrovm(), ConditionType.STARTED));
    assertFalse(Conditions.isTrue(running.getMicrovm(), ConditionType.READY));

    MicroVmRecord ready =
        Lifecycle.reported(
            running, report(MicroVmState.RUNNING).toBuilder().setReady(true).build(), T1);
    assertTrue(Conditions.isTrue(ready.getMicrovm(), ConditionType.READY));

    VsockStatus vsock = VsockStatus.newBuilder().setCid(3).setSocket("/v").build();
    MicroVmRecord reachable =
        Lifecycle.reported(
            ready, report(MicroVmState.RUNNING).toBuilder().setVsock(vsock).build(), T1);
    assertEquals(vsock, reachable.getMicrovm().getStatus().getVsock());
    ConsolePortStatus port = ConsolePortStatus.newBuilder().setName("hvc0").setSocket("/c").build();
    MicroVmReport told = report(MicroVmState.RUNNING).toBuilder().addConsolePorts(port).build();
    MicroVmRecord twice = Lifecycle.reported(Lifecycle.reported(reachable, told, T1), told, T1);
    assertEquals(List.of(port), twice.getMicrovm().getStatus().getConsolePortsList());
    NetworkStatus network = NetworkStatus.newBuilder().setId("net0").setAddress("10.0.0.2").build();
    MicroVmReport more = report(MicroVmState.RUNNING).toBuilder().addNetworks(network).build();
    MicroVmRecord both = Lifecycle.reported(Lifecycle.reported(twice, more, T1), more, T1);
    assertEquals(List.of(network), both.getMicrovm().getStatus().getNetworksList());

    MicroVmRecord off =
        Lifecycle.reported(
            ready, ended(MicroVmState.STOPPED, Termination.Cause.GUEST_POWER_OFF), T2);
    assertEquals(MicroVmState.STOPPED, state(off));
    assertFalse(Conditions.isTrue(off.getMicrovm(), ConditionType.READY));
    assertTrue(Conditions.isTrue(off.getMicrovm(), ConditionType.STARTED));
    assertEquals(
        "GuestPowerOff",
        Conditions.find(off.getMicrovm(), ConditionType.FINISHED).orElseThrow().getReason());
    assertFalse(Lifecycle.holdsResources(off.getMicrovm()));
  }

  @Test
  void statesMayBeSkippedButNotTurnedBack() {
    MicroVmRecord running = Lifecycle.reported(assigned, report(MicroVmState.RUNNING), T1);

    assertEquals(MicroVmState.RUNNING, state(running));
    assertSame(created, Lifecycle.reported(created, report(MicroVmState.RUNNING), T1));
  }

  @Test
  void aRestartByPolicyIsAnotherStartOfTheSameAttempt() {
    MicroVmRecord failed =
        Lifecycle.reported(
            Lifecycle.reported(assigned, report(MicroVmState.RUNNING), T0),
            ended(MicroVmState.FAILED, Termination.Cause.VMM_LOST),
            T1);
    MicroVmRecord again =
        Lifecycle.reported(
            failed, report(MicroVmState.RUNNING).toBuilder().setRestarts(1).build(), T2);

    assertEquals(MicroVmState.RUNNING, state(again));
    assertEquals(1, again.getMicrovm().getStatus().getRestarts());
    assertEquals(1, again.getMicrovm().getStatus().getAttempt());
    assertFalse(Conditions.isTrue(again.getMicrovm(), ConditionType.FINISHED));
    assertEquals(
        Termination.Cause.VMM_LOST,
        again.getMicrovm().getStatus().getTermination().getCause(),
        "why it was restarted can still be seen");
  }

  @Test
  void aSpecThatANodeRefusesFailsWithTheReasonAndIsOnNoNode() {
    Rejection rejection =
        Lifecycle.rejection(
            MicroVmReport.newBuilder()
                .setReason("DISK_NOT_FOUND")
                .setField("disks[0].source")
                .setMessage("no such file")
                .build());
    MicroVmRecord rejected = Lifecycle.rejected(assigned, rejection, T1);

    assertEquals("spec.disks[0].source", rejection.getField());
    assertEquals(MicroVmState.FAILED, state(rejected));
    assertEquals(Optional.empty(), Lifecycle.nodeId(rejected.getMicrovm()));
    Condition prepared =
        Conditions.find(rejected.getMicrovm(), ConditionType.PREPARED).orElseThrow();
    assertEquals("DiskNotFound", prepared.getReason());
    assertEquals("spec.disks[0].source: no such file", prepared.getMessage());
  }

  @Test
  void aReasonOfANewerWorkerIsABug() {
    assertEquals(ErrorReason.INTERNAL, Lifecycle.errorReason("SOMETHING_NEW"));
    assertEquals(ErrorReason.DISK_INVALID, Lifecycle.errorReason("DISK_INVALID"));
  }

  @Test
  void aFailureWithAReasonCarriesIt() {
    MicroVmRecord failed =
        Lifecycle.reported(
            assigned,
            ended(MicroVmState.FAILED, Termination.Cause.SETUP_FAILED).toBuilder()
                .setOutcome(Outcome.FAILED_NEEDS_CLEANUP)
                .setReason("KERNEL_INVALID")
                .setField("boot.kernel")
                .setMessage("truncated")
                .build(),
            T1);

    assertEquals(MicroVmState.FAILED, state(failed));
    assertEquals("KERNEL_INVALID", failed.getRejection().getReason());
    assertEquals(Optional.of("a"), Lifecycle.nodeId(failed.getMicrovm()));
  }

  @Test
  void aNodeThatCannotTellLeavesTheStateAndSaysSo() {
    MicroVmRecord running = Lifecycle.reported(assigned, report(MicroVmState.RUNNING), T1);
    MicroVmRecord unknown =
        Lifecycle.reported(
            running,
            report(MicroVmState.MICRO_VM_STATE_UNSPECIFIED).toBuilder()
                .setOutcome(Outcome.OUTCOME_UNKNOWN)
                .build(),
            T2);

    assertEquals(MicroVmState.RUNNING, state(unknown));
    assertEquals(
        Condition.Status.UNKNOWN,
        Conditions.find(unknown.getMicrovm(), ConditionType.STARTED).orElseThrow().getStatus());
  }

  @Test
  void whileItIsToStopALateRunningDoesNotHideIt() {
    MicroVmRecord running = Lifecycle.reported(assigned, report(MicroVmState.RUNNING), T1);
    MicroVmRecord stopping = Lifecycle.steered(running, DesiredState.DESIRED_STOPPED, T1);

    assertEquals(MicroVmState.STOPPING, state(stopping));
    assertEquals(2, stopping.getMicrovm().getMeta().getGeneration());
    assertEquals(
        MicroVmState.STOPPING,
        state(Lifecycle.reported(stopping, report(MicroVmState.RUNNING), T2)));
    assertEquals(
        MicroVmState.STOPPED,
        state(
            Lifecycle.reported(
                stopping, ended(MicroVmState.STOPPED, Termination.Cause.STOPPED_BY_REQUEST), T2)));
  }

  @Test
  void theSameWishTwiceIsOne() {
    MicroVmRecord stopping = Lifecycle.steered(assigned, DesiredState.DESIRED_STOPPED, T1);

    assertSame(stopping, Lifecycle.steered(stopping, DesiredState.DESIRED_STOPPED, T2));
  }

  @Test
  void whatHasNoNodeStopsAtOnceAndStartsByWaitingAgain() {
    MicroVmRecord stopped = Lifecycle.steered(created, DesiredState.DESIRED_STOPPED, T1);
    assertEquals(MicroVmState.STOPPED, state(stopped));
    assertTrue(Conditions.isTrue(stopped.getMicrovm(), ConditionType.FINISHED));

    MicroVmRecord again = Lifecycle.startedAgain(stopped, T2);
    assertEquals(MicroVmState.PENDING, state(again));
    assertFalse(Conditions.isTrue(again.getMicrovm(), ConditionType.FINISHED));
  }

  @Test
  void aStartAfterTheEndIsANewAttemptWhereTheDisksAre() {
    MicroVmRecord off =
        Lifecycle.reported(
            Lifecycle.reported(assigned, report(MicroVmState.RUNNING), T0),
            ended(MicroVmState.STOPPED, Termination.Cause.GUEST_POWER_OFF),
            T1);
    MicroVmRecord again = Lifecycle.startedAgain(off, T2);

    assertEquals(MicroVmState.SCHEDULED, state(again));
    assertEquals(2, again.getMicrovm().getStatus().getAttempt());
    assertEquals(Optional.of("a"), Lifecycle.nodeId(again.getMicrovm()));
    assertTrue(Lifecycle.holdsResources(again.getMicrovm()));
    assertFalse(again.getMicrovm().getStatus().hasTermination());
    assertFalse(Conditions.isTrue(again.getMicrovm(), ConditionType.STARTED));
  }

  @Test
  void aNodeWithoutRoomPutsItBackUnlessItIsToStop() {
    assertEquals(MicroVmState.PENDING, state(Lifecycle.refusedByNode(assigned, "full", T1)));
    assertEquals(
        MicroVmState.STOPPED,
        state(
            Lifecycle.refusedByNode(
                Lifecycle.steered(assigned, DesiredState.DESIRED_STOPPED, T1), "full", T2)));
  }

  @Test
  void deletingStaysDeletingWhateverIsSaid() {
    MicroVmRecord deleting = Lifecycle.deleting(assigned, false, T1);

    assertEquals(MicroVmState.DELETING, state(deleting));
    assertEquals(
        MicroVmState.DELETING,
        state(Lifecycle.reported(deleting, report(MicroVmState.RUNNING), T2)));
    assertSame(deleting, Lifecycle.deleting(deleting, false, T2));
    MicroVmRecord forced = Lifecycle.deleting(deleting, true, T2);
    assertTrue(forced.getForceDelete());
    assertEquals(
        Timestamps.of(T1), forced.getMicrovm().getMeta().getDeleteTime(), "asked for first");
    assertSame(forced, Lifecycle.deleting(forced, false, T2));
  }

  @Test
  void aTimeToLiveCountsFromTheCreate() {
    MicroVmSpec.Builder spec = created.getMicrovm().getSpec().toBuilder();
    spec.getLifecycleBuilder().getTtlBuilder().setSeconds(60).setNanos(5);
    MicroVm withTtl = created.getMicrovm().toBuilder().setSpec(spec).build();

    assertEquals(Optional.of(T0.plusSeconds(60).plusNanos(5)), Lifecycle.expiry(withTtl));
    assertEquals(Optional.empty(), Lifecycle.expiry(created.getMicrovm()));
  }

  @Test
  void whatAReplacedWorkerRanHasFailed() {
    MicroVmRecord lost =
        Lifecycle.lostWithNode(
            Lifecycle.reported(assigned, report(MicroVmState.RUNNING), T0), NodeLoss.REPLACED, T1);

    assertEquals(MicroVmState.FAILED, state(lost));
    assertEquals(Optional.empty(), Lifecycle.nodeId(lost.getMicrovm()));
    assertEquals(
        "NodeReplaced",
        Conditions.find(lost.getMicrovm(), ConditionType.FINISHED).orElseThrow().getReason());
  }

  /** Whatever is reported in whatever state: the result is legal, or nothing changes. */
  @Test
  void noReportMakesAnIllegalStep() {
    for (MicroVmState from : MicroVmState.values()) {
      for (MicroVmState to : MicroVmState.values()) {
        if (from == MicroVmState.UNRECOGNIZED || to == MicroVmState.UNRECOGNIZED) {
          continue;
        }
        MicroVmRecord.Builder before = assigned.toBuilder();
        before.getMicrovmBuilder().getStatusBuilder().setState(from);
        MicroVmState after = state(Lifecycle.reported(before.build(), report(to), T1));
        assertTrue(Transitions.isLegal(from, after), () -> from + " to " + to + " gave " + after);
      }
    }
  }

  private static MicroVmState state(MicroVmRecord record) {
    return record.getMicrovm().getStatus().getState();
  }

  private static MicroVmReport report(MicroVmState state) {
    return MicroVmReport.newBuilder()
        .setUid("uid")
        .setAttempt(1)
        .setOutcome(Outcome.CREATED)
        .setState(state)
        .setStartTime(Timestamp.newBuilder().setSeconds(1))
        .build();
  }

  private static MicroVmReport ended(MicroVmState state, Termination.Cause cause) {
    return report(state).toBuilder()
        .setTermination(Termination.newBuilder().setCause(cause))
        .build();
  }
}
