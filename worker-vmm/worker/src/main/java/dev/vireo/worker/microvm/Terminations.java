package dev.vireo.worker.microvm;

import dev.vireo.proto.time.Timestamps;
import dev.vireo.proto.v1.Termination;
import dev.vireo.proto.v1.Termination.Cause;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.worker.v1.MicroVmRecord;
import dev.vireo.worker.vmm.VmmAdoption.Found;
import dev.vireo.worker.vmm.VmmExit;
import java.time.InstantSource;

/** Why and when runs have ended, in the words of the public contract. */
public final class Terminations {
  /** It is in every report and list, and may be a guest's or a VMM's words. */
  private static final int MAX_MESSAGE_CHARACTERS = 1_000;

  private final InstantSource clock;

  /**
   * @param clock tells when they end
   */
  public Terminations(InstantSource clock) {
    this.clock = clock;
  }

  /** Now, for this cause. */
  public Termination of(Cause cause, String message) {
    return Termination.newBuilder()
        .setCause(cause)
        .setMessage(message.substring(0, Math.min(MAX_MESSAGE_CHARACTERS, message.length())))
        .setTime(Timestamps.of(clock.instant()))
        .build();
  }

  /** Why the VMM's process ended: what was decided before it counts more than its last words. */
  Termination of(MicroVmRecord record, Run run, VmmExit exit) {
    if (record.hasProcessEnd()) {
      return record.getProcessEnd();
    }
    if (record.hasTimeUp()) {
      return record.getTimeUp();
    }
    if (run.refusal != null) {
      return of(Cause.SETUP_FAILED, run.refusal.sentence());
    }
    VmmStatus last = exit.lastWords().orElse(run.status);
    if (last.getEndCause() != EndCause.END_CAUSE_UNSPECIFIED) {
      return of(record, last, run.processStarted ? "ended" : "started");
    }
    return of(
        run.stopRequested ? Cause.STOPPED_BY_REQUEST : Cause.VMM_LOST,
        "its VMM process " + exit.describe());
  }

  /** Of a run whose VMM's process was found gone: by its last words, if it has left any. */
  public Termination of(MicroVmRecord record, Found.Gone gone) {
    return gone.lastWords()
        .filter(last -> last.getEndCause() != EndCause.END_CAUSE_UNSPECIFIED)
        .map(last -> of(record, last, "ended"))
        .orElseGet(() -> of(Cause.VMM_LOST, gone.how()));
  }

  /**
   * By a VMM's last words.
   *
   * @param missed what a container's process had not done yet
   */
  private Termination of(MicroVmRecord record, VmmStatus last, String missed) {
    return last.getEndCause() == EndCause.END_GUEST_POWER_OFF && record.hasProcess()
        ? of(
            Cause.SETUP_FAILED,
            "the guest powered itself off before its process had %s; its console says why: vireo logs"
                    .formatted(missed)
                + " --console")
        : of(causeOf(last.getEndCause()), last.getEndMessage());
  }

  private static Cause causeOf(EndCause cause) {
    return switch (cause) {
      case END_GUEST_POWER_OFF -> Cause.GUEST_POWER_OFF;
      case END_GUEST_RESET -> Cause.GUEST_RESET;
      case END_STOPPED_BY_REQUEST -> Cause.STOPPED_BY_REQUEST;
      case END_VCPU_FAILED -> Cause.VCPU_FAILED;
      case END_SETUP_FAILED -> Cause.SETUP_FAILED;
      case END_CAUSE_UNSPECIFIED, UNRECOGNIZED -> Cause.VMM_LOST;
    };
  }
}
