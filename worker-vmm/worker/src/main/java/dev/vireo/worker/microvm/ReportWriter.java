package dev.vireo.worker.microvm;

import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.Termination;
import dev.vireo.proto.v1.VsockStatus;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.MicroVmRecord;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import dev.vireo.worker.boot.ConsoleSockets;
import dev.vireo.worker.boot.RejectedException;
import dev.vireo.worker.boot.VsockSocket;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** What the controller is told of one microVM: where it is, as an outcome and a state. */
final class ReportWriter {
  private final String uid;
  private final VsockSocket vsock;
  private final ConsoleSockets consoles;

  ReportWriter(String uid, VsockSocket vsock, ConsoleSockets consoles) {
    this.uid = uid;
    this.vsock = vsock;
    this.consoles = consoles;
  }

  /**
   * Of a phase; empty if there is nothing to tell, or not yet: a launch is told of once it takes
   * long.
   *
   * @param refusal why it ended, if it was refused after it had run here before
   */
  Optional<MicroVmReport> of(
      Phase phase, Assignment wanted, MicroVmRecord record, @Nullable RejectedException refusal) {
    return switch (phase) {
      case Phase.Absent(), Phase.Removed() -> Optional.empty();
      case Phase.Launching launching -> Optional.empty();
      case Phase.Live(Run run) -> Optional.of(live(run, wanted, record));
      case Phase.Waiting waiting -> Optional.of(startsAgain("starts again", wanted, record));
      case Phase.Lapsed() ->
          Optional.of(startsAgain("ended while its worker was away", wanted, record));
      case Phase.Finished() -> Optional.of(finished(wanted, record, refusal));
    };
  }

  MicroVmReport launching(Assignment wanted, MicroVmRecord record) {
    return of(Outcome.IN_PROGRESS, MicroVmState.STARTING, wanted, record).build();
  }

  private MicroVmReport startsAgain(String message, Assignment wanted, MicroVmRecord record) {
    return of(Outcome.CREATED, MicroVmState.STARTING, wanted, record).setMessage(message).build();
  }

  private MicroVmReport live(Run run, Assignment wanted, MicroVmRecord record) {
    MicroVmState state =
        run.stopRequested
            ? MicroVmState.STOPPING
            : switch (run.status.getState()) {
              case VMM_RUNNING -> MicroVmState.RUNNING;
              case VMM_PAUSED -> MicroVmState.PAUSED;
              case VMM_STOPPING, VMM_ENDED -> MicroVmState.STOPPING;
              case VMM_STARTING, VMM_IDLE, VMM_STATE_UNSPECIFIED, UNRECOGNIZED ->
                  MicroVmState.STARTING;
            };
    boolean ready = record.hasProcess() ? run.processReady : run.status.getConsoleReady();
    return of(Outcome.CREATED, state, wanted, record).setReady(ready).build();
  }

  private MicroVmReport finished(
      Assignment wanted, MicroVmRecord record, @Nullable RejectedException refusal) {
    MicroVmReport.Builder report =
        of(Outcome.CREATED, endState(record.getTermination()), wanted, record);
    if (refusal != null) {
      report
          .setReason(refusal.reason().name())
          .setField(refusal.field())
          .setMessage(refusal.sentence());
    }
    return report.build();
  }

  private static MicroVmState endState(Termination termination) {
    return switch (termination.getCause()) {
      case GUEST_POWER_OFF, GUEST_RESET, STOPPED_BY_REQUEST, IDLE_TIMEOUT -> MicroVmState.STOPPED;
      case PROCESS_ENDED ->
          termination.getExitStatus() == 0 ? MicroVmState.STOPPED : MicroVmState.FAILED;
      case VCPU_FAILED,
          VMM_LOST,
          SETUP_FAILED,
          RUN_TIME_EXCEEDED,
          CAUSE_UNSPECIFIED,
          UNRECOGNIZED ->
          MicroVmState.FAILED;
    };
  }

  /** With all that is known of the microVM, to be completed. */
  MicroVmReport.Builder of(
      Outcome outcome, MicroVmState state, Assignment wanted, MicroVmRecord record) {
    MicroVmReport.Builder report =
        MicroVmReport.newBuilder()
            .setUid(uid)
            .setName(wanted.getName())
            .setAttempt((record.hasAssignment() ? record.getAssignment() : wanted).getAttempt())
            .setObservedGeneration(wanted.getGeneration())
            .setOutcome(outcome)
            .setState(state)
            .setRestarts(record.getRestarts());
    if (record.hasStartTime()) {
      report.setStartTime(record.getStartTime());
    }
    if (record.hasTermination()) {
      report.setTermination(record.getTermination());
    }
    if (record.getVsockCid() != 0) {
      report.setVsock(
          VsockStatus.newBuilder().setCid(record.getVsockCid()).setSocket(vsock.path().toString()));
    }
    if (record.hasNetwork()) {
      report.addNetworks(record.getNetwork());
    }
    report.addAllConsolePorts(consoles.status(wanted.getSpec().getVirtioConsole()));
    return report;
  }
}
