package dev.vireo.worker.microvm;

import static dev.vireo.proto.vmm.v1.EndCause.END_GUEST_POWER_OFF;
import static dev.vireo.proto.vmm.v1.EndCause.END_GUEST_RESET;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.ProcessHandleFd.Exit;
import dev.vireo.proto.agent.v1.ExecRequest;
import dev.vireo.proto.v1.Termination;
import dev.vireo.proto.v1.Termination.Cause;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.proto.vmm.v1.VmmState;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.worker.v1.MicroVmRecord;
import dev.vireo.proto.worker.v1.VmmRecord;
import dev.vireo.worker.time.ManualTime;
import dev.vireo.worker.tracing.LaunchTrace;
import dev.vireo.worker.vmm.VmmAdoption.Found;
import dev.vireo.worker.vmm.VmmExit;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** What is kept and told of the ends of runs. */
class TerminationsTest {
  private final Terminations terminations = new Terminations(new ManualTime());

  /** It is in every list and report, and may be a guest's or its VMM's words. */
  @Test
  void aLongMessageIsCut() {
    assertEquals(
        "x".repeat(1_000), terminations.of(Cause.PROCESS_ENDED, "x".repeat(200_000)).getMessage());
    assertEquals("short", terminations.of(Cause.PROCESS_ENDED, "short").getMessage());
  }

  /** Also if no worker was there: a restart depends on it. */
  @Test
  void aContainersGuestThatPowersItselfOffWasNotSetUp() {
    MicroVmRecord container =
        MicroVmRecord.newBuilder().setProcess(ExecRequest.getDefaultInstance()).build();
    Termination told = terminations.of(container, run(), exit(END_GUEST_POWER_OFF));
    Termination found = terminations.of(container, gone(END_GUEST_POWER_OFF));
    assertEquals(Cause.SETUP_FAILED, told.getCause());
    assertEquals(Cause.SETUP_FAILED, found.getCause());
    assertTrue(found.getMessage().contains("powered itself off"), found.getMessage());
    assertEquals(Cause.GUEST_RESET, terminations.of(container, gone(END_GUEST_RESET)).getCause());
  }

  @Test
  void anotherGuestThatPowersItselfOffHasDoneSo() {
    MicroVmRecord other = MicroVmRecord.getDefaultInstance();
    assertEquals(
        Cause.GUEST_POWER_OFF, terminations.of(other, run(), exit(END_GUEST_POWER_OFF)).getCause());
    assertEquals(
        Cause.GUEST_POWER_OFF, terminations.of(other, gone(END_GUEST_POWER_OFF)).getCause());
  }

  private static Run run() {
    return new Run(0, LaunchTrace.NONE);
  }

  private static VmmExit exit(EndCause cause) {
    return new VmmExit(new Exit.Status(0), Optional.of(lastWords(cause)), "");
  }

  private static Found.Gone gone(EndCause cause) {
    return new Found.Gone(
        VmmRecord.getDefaultInstance(), "it is gone", Optional.of(lastWords(cause)), () -> {});
  }

  private static VmmStatus lastWords(EndCause cause) {
    return VmmStatus.newBuilder().setState(VmmState.VMM_ENDED).setEndCause(cause).build();
  }
}
