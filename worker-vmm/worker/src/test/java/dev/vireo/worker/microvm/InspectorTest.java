package dev.vireo.worker.microvm;

import static dev.vireo.proto.vmm.v1.VmmRequest.RequestCase.INSPECT;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.vmm.v1.DeviceCounters;
import dev.vireo.proto.vmm.v1.QueueCounters;
import dev.vireo.proto.vmm.v1.VmmInspection;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.worker.v1.Inspect;
import dev.vireo.proto.worker.v1.InspectResult;
import dev.vireo.worker.time.ManualTime;
import dev.vireo.worker.vmm.FakeVmm;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/** What a VMM says of itself, or why it does not. */
class InspectorTest {
  private static final Inspect REQUEST =
      Inspect.newBuilder().setRequestId(7).setUid("uid-1").build();

  private final ManualTime time = new ManualTime();
  private final FakeVmm vmm = new FakeVmm();
  private final Inspector inspector =
      new Inspector(uid -> Optional.of(CompletableFuture.completedFuture(Optional.of(vmm))), time);

  @Test
  void aVmmThatDoesNotAnswerInTimeMayBeAskedAgain() {
    CompletableFuture<InspectResult> result = inspector.inspect(REQUEST);
    time.pass(Inspector.ANSWER_WITHIN.minusMillis(1));
    assertFalse(result.isDone());

    time.pass(Duration.ofMillis(1));

    assertEquals("VMM_UNRESPONSIVE", result.join().getReason());
    assertEquals(ErrorReason.Code.UNAVAILABLE, ErrorReason.VMM_UNRESPONSIVE.code());
    assertEquals(REQUEST.getRequestId(), result.join().getRequestId());
  }

  @Test
  void oneThatHasDiedIsNotWaitedFor() {
    CompletableFuture<InspectResult> result = inspector.inspect(REQUEST);
    vmm.dies();
    assertEquals("VMM_FAILED", result.join().getReason());
    assertEquals(0, time.alarms());
  }

  @Test
  void whatItAnswersIsPassedOn() {
    CompletableFuture<InspectResult> result = inspector.inspect(REQUEST);
    vmm.answer(
        INSPECT,
        VmmResponse.newBuilder()
            .setInspection(VmmInspection.newBuilder().setCommandLine("quiet"))
            .build());
    assertEquals("quiet", result.join().getInspection().getCommandLine());
    assertEquals(0, time.alarms());
  }

  @Test
  void exitsPerIoAreThoseOfAllQueues() {
    DeviceCounters counters =
        DeviceCounters.newBuilder()
            .setRegisterExits(30)
            .addQueues(QueueCounters.newBuilder().setRequests(50))
            .addQueues(QueueCounters.newBuilder().setRequests(10))
            .build();
    assertEquals(0.5, Inspector.exitsPerIo(counters));
  }

  @Test
  void beforeTheFirstRequestThereAreNone() {
    assertEquals(0, Inspector.exitsPerIo(DeviceCounters.newBuilder().setRegisterExits(9).build()));
  }
}
