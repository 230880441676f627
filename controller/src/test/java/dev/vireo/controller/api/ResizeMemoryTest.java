package dev.vireo.controller.api;

import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.ResizeMemoryRequest;
import dev.vireo.proto.worker.v1.Assignment;
import org.junit.jupiter.api.Test;

/** A guest's memory is to become larger or smaller: the wish, on its way to the node. */
final class ResizeMemoryTest extends ControllerTest {
  private static ResizeMemoryRequest.Builder target(long mib) {
    return ResizeMemoryRequest.newBuilder().setName(name("vm")).setBalloonTargetMib(mib);
  }

  private MicroVm resize(ResizeMemoryRequest.Builder request) {
    return controller.client().resizeMemory(request.build());
  }

  private FakeWorker joinWithBalloons() {
    var hello = FakeWorker.hello("a");
    hello.getCapabilitiesBuilder().addBackEnds("balloon/host");
    return controller.join(hello);
  }

  private Assignment runningWithBalloon(FakeWorker worker) {
    CreateMicroVmRequest.Builder request = probe("vm").toBuilder();
    request.getMicrovmBuilder().getSpecBuilder().getBalloonBuilder();
    create(request.build());
    Assignment assignment = worker.nextAssignment();
    worker.report(FakeWorker.running(assignment));
    awaitState("vm", MicroVmState.RUNNING);
    return assignment;
  }

  @Test
  void theNodeHearsOfANewTargetOfTheSameAttempt() {
    FakeWorker worker = joinWithBalloons();
    Assignment before = runningWithBalloon(worker);

    MicroVm resized = resize(target(8));

    assertEquals(8, resized.getSpec().getBalloon().getTargetMib());
    assertEquals(MicroVmState.RUNNING, resized.getStatus().getState());
    Assignment after = worker.nextAssignment();
    assertEquals(8, after.getSpec().getBalloon().getTargetMib());
    assertEquals(before.getAttempt(), after.getAttempt());
    assertEquals(before.getGeneration() + 1, after.getGeneration());
  }

  @Test
  void aNewTargetOutlivesTheController() {
    FakeWorker worker = joinWithBalloons();
    runningWithBalloon(worker);
    resize(target(8));
    restart();
    assertEquals(8, get("vm").getSpec().getBalloon().getTargetMib());
    var hello = FakeWorker.hello("a");
    FakeWorker again = controller.dial().say(hello.build());
    assertEquals(
        8, again.next().getWelcome().getAssignments(0).getSpec().getBalloon().getTargetMib());
  }

  @Test
  void theSameTargetTwiceIsOne() {
    FakeWorker worker = joinWithBalloons();
    runningWithBalloon(worker);
    MicroVm once = resize(target(8));
    assertEquals(once, resize(target(8)));
    worker.nextAssignment();
    assertTrue(worker.hasHeardNothing());
  }

  @Test
  void whatTheSpecDoesNotAllowForIsRefused() {
    FakeWorker worker = joinWithBalloons();
    runningWithBalloon(worker);
    long memory = get("vm").getSpec().getMemoryMib();
    resize(target(memory));
    assertRefused(ErrorReason.FIELD_INVALID, () -> resize(target(memory + 1)));
    assertRefused(ErrorReason.FIELD_INVALID, () -> resize(target(-1)));
    assertRefused(
        ErrorReason.FIELD_REQUIRED,
        () -> resize(ResizeMemoryRequest.newBuilder().setName(name("vm"))));
    assertRefused(ErrorReason.ETAG_MISMATCH, () -> resize(target(1).setEtag("other")));
    assertRefused(ErrorReason.MICROVM_NOT_FOUND, () -> resize(target(1).setName(name("none"))));
    create(probe("plain"));
    assertRefused(ErrorReason.FIELD_INVALID, () -> resize(target(1).setName(name("plain"))));
  }

  private static ResizeMemoryRequest.Builder size(long mib) {
    return ResizeMemoryRequest.newBuilder().setName(name("vm")).setSizeMib(mib);
  }

  /** Of 64 MiB, and 128 MiB more that can be plugged in blocks of 4. */
  private void createElastic(boolean withBalloon) {
    var hello = FakeWorker.hello("a");
    hello.getCapabilitiesBuilder().addBackEnds("balloon/host").addBackEnds("mem/host");
    controller.join(hello);
    CreateMicroVmRequest.Builder request = probe("vm").toBuilder();
    var spec = request.getMicrovmBuilder().getSpecBuilder().setMemoryMib(64);
    spec.getMemoryHotplugBuilder().setMaximumMib(128).setBlockMib(4);
    if (withBalloon) {
      spec.getBalloonBuilder().setTargetMib(16);
    }
    create(request.build());
  }

  private void assertSizes(MicroVm microVm, long plugged, long givenBack) {
    assertEquals(plugged, microVm.getSpec().getMemoryHotplug().getSizeMib());
    assertEquals(givenBack, microVm.getSpec().getBalloon().getTargetMib());
    assertEquals(64, microVm.getSpec().getMemoryMib());
  }

  @Test
  void whatIsBeyondTheSpecsMemoryIsPluggedAndWhatIsMissingIsInTheBalloon() {
    createElastic(true);
    assertSizes(resize(size(192)), 128, 0);
    assertSizes(resize(size(68)), 4, 0);
    assertSizes(resize(size(64)), 0, 0);
    assertSizes(resize(size(63)), 0, 1);
    assertSizes(resize(size(16)), 0, 48);
    assertSizes(resize(size(100)), 36, 0);
    // By itself the balloon leaves what is plugged alone.
    assertSizes(resize(target(7)), 36, 7);
  }

  @Test
  void aSizeThatTheSpecDoesNotAllowForIsRefused() {
    createElastic(true);
    for (long mib : new long[] {196, 66, 15, 0, -1, Long.MIN_VALUE, Long.MAX_VALUE}) {
      assertRefused(ErrorReason.FIELD_INVALID, () -> resize(size(mib)));
    }
    assertRefused(ErrorReason.FIELD_INVALID, () -> resize(size(64).setBalloonTargetMib(0)));
    assertSizes(get("vm"), 0, 16);
  }

  @Test
  void withoutABalloonAGuestKeepsTheSpecsMemory() {
    createElastic(false);
    assertSizes(resize(size(128)), 64, 0);
    assertRefused(ErrorReason.FIELD_INVALID, () -> resize(size(63)));
    assertRefused(ErrorReason.FIELD_INVALID, () -> resize(target(1)));
    assertSizes(resize(size(64)), 0, 0);
  }

  @Test
  void withoutPluggableMemoryAGuestHasTheSpecsMemoryAtMost() {
    runningWithBalloon(joinWithBalloons());
    long memory = get("vm").getSpec().getMemoryMib();
    assertEquals(1, resize(size(memory - 1)).getSpec().getBalloon().getTargetMib());
    assertRefused(ErrorReason.FIELD_INVALID, () -> resize(size(memory + 2)));
    create(probe("plain"));
    assertRefused(ErrorReason.FIELD_INVALID, () -> resize(size(memory).setName(name("plain"))));
  }

  @Test
  void whatIsBeingDeletedKeepsItsSize() {
    runningWithBalloon(joinWithBalloons());
    controller
        .client()
        .deleteMicroVm(DeleteMicroVmRequest.newBuilder().setName(name("vm")).build());
    assertRefused(ErrorReason.STATE_CONFLICT, () -> resize(target(8)));
  }

  @Test
  void aNodeWithoutBalloonsGetsNone() {
    controller.join("a");
    CreateMicroVmRequest.Builder request = probe("vm").toBuilder();
    request.getMicrovmBuilder().getSpecBuilder().getBalloonBuilder();
    assertEquals(MicroVmState.PENDING, create(request.build()).getStatus().getState());
  }
}
