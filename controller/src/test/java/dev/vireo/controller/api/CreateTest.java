package dev.vireo.controller.api;

import static dev.vireo.controller.testing.TestController.PARENT;
import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.google.protobuf.FieldMask;
import dev.vireo.controller.lifecycle.ConditionType;
import dev.vireo.controller.lifecycle.Conditions;
import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.Announcement;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.DesiredState;
import dev.vireo.proto.v1.Drain;
import dev.vireo.proto.v1.Lifecycle.NodeLoss;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeImage;
import dev.vireo.proto.v1.SteerMicroVmRequest;
import dev.vireo.proto.v1.Termination;
import dev.vireo.proto.v1.UpdateNodeRequest;
import dev.vireo.proto.v1.Vsock;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.Hello;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

final class CreateTest extends ControllerTest {
  @Test
  void itIsPlacedAtOnceAndTheWorkerIsTold() {
    FakeWorker worker = controller.join("a");

    MicroVm created = create(probe("vm"));

    assertEquals(name("vm"), created.getMeta().getName());
    assertEquals(MicroVmState.SCHEDULED, created.getStatus().getState());
    assertEquals("nodes/a", created.getStatus().getNode());
    assertEquals(DesiredState.DESIRED_RUNNING, created.getSpec().getDesiredState());
    assertEquals(created, get("vm"));
    Assignment assignment = worker.nextAssignment();
    assertEquals(created.getMeta().getUid(), assignment.getUid());
    assertEquals(created.getSpec(), assignment.getSpec());
    assertEquals(1, assignment.getAttempt());
    assertEquals(1, assignment.getGeneration());
  }

  @Test
  void aCreateTakesTwoDurableWrites() {
    FakeWorker worker = controller.join("a");
    MicroVm created = create(probe("vm"));
    Assignment assignment = worker.nextAssignment();
    worker.report(
        FakeWorker.about(assignment, Outcome.IN_PROGRESS).setState(MicroVmState.STARTING));
    worker.report(FakeWorker.running(assignment));
    awaitState("vm", MicroVmState.RUNNING);

    assertEquals(
        created.getMeta().getResourceVersion() + 1, get("vm").getMeta().getResourceVersion());
  }

  @Test
  void withoutANodeItWaitsAndSaysWhy() {
    MicroVm created = create(probe("vm"));

    assertEquals(MicroVmState.PENDING, created.getStatus().getState());
    assertEquals("no node has joined yet", scheduledMessage(created));

    FakeWorker worker = controller.join("a");
    assertEquals(name("vm"), worker.nextAssignment().getName());
  }

  @Test
  void withoutRoomItWaitsAndSaysWhyUntilThereIsRoom() {
    FakeWorker worker = controller.join("a");
    create(probe("big", spec -> spec.setMemoryMib(4_000)));
    Assignment big = worker.nextAssignment();

    MicroVm second = create(probe("second", spec -> spec.setMemoryMib(512)));
    assertEquals("0 of 1 node: 1 lacks memory (need 512 MiB, free 96)", scheduledMessage(second));

    controller
        .client()
        .deleteMicroVm(DeleteMicroVmRequest.newBuilder().setName(name("big")).build());
    assertEquals(big.getUid(), worker.next().getDesiredChange().getRemove().getUid());
    worker.report(FakeWorker.removed(big.getUid()));
    assertEquals(name("second"), worker.nextAssignment().getName());
  }

  private static CreateMicroVmRequest container(String id) {
    return probe(
        id,
        spec -> {
          spec.getBootBuilder().clearKernel();
          spec.setMemoryMib(128).getContainerBuilder().setImage("busybox");
          return spec;
        });
  }

  @Test
  void aContainerGetsTheDistributionsKernelUnlessANodeHasTheSmallOne() {
    controller.join("a");
    CreateMicroVmRequest request =
        container("large").toBuilder().setRequestId(UUID.randomUUID().toString()).build();
    MicroVm large = create(request);
    assertEquals("debian-12", large.getSpec().getBoot().getKernel());

    Hello.Builder hello = FakeWorker.hello("b");
    NodeImage.Builder small = hello.getCapabilitiesBuilder().addImagesBuilder();
    small.setName("vireo-6.1").setArchitecture(Architecture.X86_64).setGuestKind("linux");
    small.addAnnouncements(Announcement.CMDLINE).setRunsContainers(true);
    controller.join(hello);
    assertEquals("vireo-6.1", create(container("small")).getSpec().getBoot().getKernel());
    MicroVm retried = create(request);
    assertEquals(large.getMeta().getUid(), retried.getMeta().getUid());
    assertEquals("debian-12", retried.getSpec().getBoot().getKernel());
  }

  @Test
  void aKernelWithoutTheAgentRunsNoContainer() {
    controller.join("a");
    CreateMicroVmRequest.Builder request = container("vm").toBuilder();
    request.getMicrovmBuilder().getSpecBuilder().getBootBuilder().setKernel("probe");
    StatusRuntimeException error =
        assertThrows(StatusRuntimeException.class, () -> create(request.build()));
    assertEquals(
        Map.of("spec.boot.kernel", "KERNEL_WITHOUT_AGENT"), SpecValidatorTest.fields(error));
  }

  @Test
  void theServerMakesANameIfTheClientDoesNot() {
    MicroVm one = create(probe(""));
    MicroVm two = create(probe(""));

    assertTrue(one.getMeta().getName().startsWith(PARENT + "/microvms/vm-"));
    assertNotEquals(one.getMeta().getName(), two.getMeta().getName());
  }

  @Test
  void aNameIsTakenOnceHoweverManyTryAtOnce() {
    long created =
        IntStream.range(0, 16)
            .mapToObj(_ -> createAsync(probe("vm"), Wait.WAIT_UNSPECIFIED))
            .toList()
            .stream()
            .filter(attempt ->
                attempt
                    .handle((_, error) -> {
                      assertTrue(
                          error == null
                              || Errors.reasonOf(error)
                                  .equals(Optional.of(ErrorReason.MICROVM_ALREADY_EXISTS)));
                      return error == null;
                    })
                    .join())
            .count();

    assertEquals(1, created);
    assertRefused(ErrorReason.MICROVM_ALREADY_EXISTS, () -> create(probe("vm")));
  }

  // ---- request ids

  @Test
  void aRetryGetsTheFirstAnswerAlsoLaterAndAfterARestart() {
    CreateMicroVmRequest request = withRequestId(probe("vm"));
    FakeWorker worker = controller.join("a");
    MicroVm first = create(request);
    worker.report(FakeWorker.running(worker.nextAssignment()));
    awaitState("vm", MicroVmState.RUNNING);

    assertEquals(stored(first), create(request));
    assertEquals(
        stored(first),
        create(
            request.toBuilder()
                .setRequestId(request.getRequestId().toUpperCase(Locale.ROOT))
                .build()));
    restart();
    assertEquals(stored(first), create(request));
  }

  @Test
  void aRetryAfterADeleteMakesNothing() {
    CreateMicroVmRequest request = withRequestId(probe("vm"));
    MicroVm first = create(request);
    controller
        .client()
        .deleteMicroVm(DeleteMicroVmRequest.newBuilder().setName(name("vm")).build());

    assertEquals(first.getMeta().getUid(), create(request).getMeta().getUid());
    assertFalse(exists("vm"));
  }

  @Test
  void aRetryIsGoodAlsoWhereTheNameIsTheServers() {
    CreateMicroVmRequest request = withRequestId(probe(""));

    assertEquals(create(request).getMeta().getName(), create(request).getMeta().getName());
  }

  @Test
  void aRetryIsGoodAlsoWhenTheNodesHaveChanged() {
    CreateMicroVmRequest request = withRequestId(probe("vm", spec -> spec.setMemoryMib(100_000)));
    MicroVm first = create(request);
    controller.join("small");

    assertEquals(first.getMeta().getUid(), create(request).getMeta().getUid());
    assertRefused(
        ErrorReason.FIELD_INVALID, () -> create(withRequestId(request.toBuilder().build())));
  }

  @Test
  void anotherRequestUnderTheSameIdIsRefused() {
    CreateMicroVmRequest request = withRequestId(probe("vm"));
    create(request);
    CreateMicroVmRequest other =
        probe("vm", spec -> spec.setMemoryMib(128)).toBuilder()
            .setRequestId(request.getRequestId())
            .build();

    assertRefused(ErrorReason.REQUEST_ID_REUSED, () -> create(other));
    assertRefused(
        ErrorReason.REQUEST_ID_REUSED,
        () -> create(request.toBuilder().setMicrovmId("other").build()));
    assertFalse(exists("other"));
  }

  @Test
  void ofManyRetriesAtOnceAllGetTheOneAnswer() {
    CreateMicroVmRequest request = withRequestId(probe("vm"));

    long uids =
        IntStream.range(0, 16)
            .mapToObj(_ -> createAsync(request, Wait.WAIT_UNSPECIFIED))
            .toList()
            .stream()
            .map(attempt -> attempt.join().getMeta().getUid())
            .distinct()
            .count();

    assertEquals(1, uids);
  }

  // ---- validation

  @Test
  void everyFieldThatIsWrongIsNamedAtOnceAndNothingIsMade() {
    StatusRuntimeException refused =
        assertRefused(
            ErrorReason.FIELD_INVALID,
            () ->
                create(
                    probe("Bad_Id", spec -> spec.setVcpus(0)).toBuilder()
                        .setParent("projects/")
                        .setRequestId("not-a-uuid")
                        .build()));

    assertEquals(
        Map.of(
            "parent", "FIELD_INVALID",
            "microvm_id", "FIELD_INVALID",
            "request_id", "FIELD_INVALID",
            "spec.vcpus", "FIELD_INVALID"),
        SpecValidatorTest.fields(refused));
    assertEquals(0, controller.microVms.version());
  }

  /** The record grows with its life, and has to fit into a commit to its end. */
  @Test
  void aRequestThatFillsACommitIsRefused() {
    CreateMicroVmRequest.Builder large = probe("vm").toBuilder();
    large
        .getMicrovmBuilder()
        .getSpecBuilder()
        .getBootBuilder()
        .setKernel("x".repeat(Creations.MAX_BYTES));

    StatusRuntimeException refused =
        assertRefused(ErrorReason.FIELD_INVALID, () -> create(large.build()));

    assertTrue(SpecValidatorTest.fields(refused).containsKey("spec"), refused::toString);
    assertFalse(exists("vm"));
  }

  @Test
  void allThatIsAllowedOfAnnotationsAndUserDataFitsTogether() {
    CreateMicroVmRequest request =
        annotated("x".repeat(Creations.MAX_ANNOTATION_BYTES - 3)).toBuilder()
            .setRequestId(UUID.randomUUID().toString())
            .build();

    create(request);

    controller
        .client()
        .deleteMicroVm(DeleteMicroVmRequest.newBuilder().setName(name("vm")).build());
    assertFalse(exists("vm"));
  }

  @Test
  void annotationsAreCountedAsTheyAreSent() {
    CreateMicroVmRequest request = annotated("\u00e9".repeat(Creations.MAX_ANNOTATION_BYTES / 2));

    StatusRuntimeException refused =
        assertRefused(ErrorReason.FIELD_INVALID, () -> create(request));

    assertEquals(Map.of("meta.annotations", "FIELD_INVALID"), SpecValidatorTest.fields(refused));
  }

  private static CreateMicroVmRequest annotated(String value) {
    CreateMicroVmRequest.Builder request =
        probe("vm", spec -> spec.setVsock(Vsock.getDefaultInstance())).toBuilder();
    request.getMicrovmBuilder().getMetaBuilder().putAnnotations("key", value);
    request
        .getMicrovmBuilder()
        .getSpecBuilder()
        .getMetadataBuilder()
        .setUserData(ByteString.copyFrom(new byte[MetadataValidator.MAX_USER_DATA_BYTES]));
    return request.build();
  }

  @Test
  void whatNoKnownNodeCouldEverRunIsRefused() {
    controller.join("a");

    assertWrong("spec.memory_mib", ErrorReason.FIELD_INVALID, spec -> spec.setMemoryMib(4_097));
    assertWrong("spec.vcpus", ErrorReason.FIELD_INVALID, spec -> spec.setVcpus(33));
    assertWrong(
        "spec.boot.kernel",
        ErrorReason.KERNEL_NOT_FOUND,
        spec -> {
          spec.getBootBuilder().setKernel("debian-13");
          return spec;
        });
    assertWrong(
        "spec.boot.kernel",
        ErrorReason.KERNEL_WRONG_ARCHITECTURE,
        spec -> spec.setArchitecture(Architecture.ARM64));
    assertWrong(
        "spec.memory_mib",
        ErrorReason.MEMORY_TOO_SMALL,
        spec -> {
          spec.getBootBuilder().setKernel("debian-12");
          return spec.setMemoryMib(95);
        });
    assertWrong(
        "spec.boot.announcement",
        ErrorReason.ANNOUNCEMENT_UNSUPPORTED,
        spec -> {
          spec.getBootBuilder().setAnnouncement(Announcement.ACPI);
          return spec;
        });
    assertFalse(exists("vm"));
  }

  private void assertWrong(
      String field,
      ErrorReason reason,
      java.util.function.UnaryOperator<dev.vireo.proto.v1.MicroVmSpec.Builder> change) {
    StatusRuntimeException refused = assertRefused(reason, () -> create(probe("vm", change)));
    assertEquals(Map.of(field, reason.name()), SpecValidatorTest.fields(refused));
  }

  @Test
  void whatOnlyNoNodeCanDoNowWaits() {
    controller.join(
        FakeWorker.hello("pvm")
            .setCapabilities(
                FakeWorker.hello("pvm").getCapabilities().toBuilder().setRunsLinuxGuests(false)));

    MicroVm linux =
        create(
            probe(
                "vm",
                spec -> {
                  spec.getBootBuilder().setKernel("debian-12");
                  return spec.setMemoryMib(128);
                }));

    assertEquals(MicroVmState.PENDING, linux.getStatus().getState());
    assertTrue(
        scheduledMessage(linux).startsWith("0 of 1 node: 1 cannot boot Linux guests"),
        () -> scheduledMessage(linux));
  }

  @Test
  void validateOnlyMakesNothingButSaysAllThatACreateWould() {
    controller.join("a");
    CreateMicroVmRequest dry = probe("vm").toBuilder().setValidateOnly(true).build();

    assertEquals(name("vm"), create(dry).getMeta().getName());
    assertFalse(exists("vm"));
    assertRefused(
        ErrorReason.FIELD_INVALID,
        () ->
            create(
                probe("vm", spec -> spec.setVcpus(0)).toBuilder().setValidateOnly(true).build()));
    create(probe("vm"));
    assertRefused(ErrorReason.MICROVM_ALREADY_EXISTS, () -> create(dry));
  }

  // ---- waiting

  @Test
  void aWaitEndsWhenItsPointIsReached() {
    FakeWorker worker = controller.join("a");
    CompletableFuture<MicroVm> running = createAsync(probe("vm"), Wait.WAIT_RUNNING);
    Assignment assignment = worker.nextAssignment();
    CompletableFuture<MicroVm> ready = createAsync(probe("vm2"), Wait.WAIT_READY);
    Assignment second = worker.nextAssignment();
    assertFalse(running.isDone());

    worker.report(FakeWorker.running(assignment));
    assertEquals(MicroVmState.RUNNING, running.join().getStatus().getState());

    worker.report(FakeWorker.running(second));
    awaitState("vm2", MicroVmState.RUNNING);
    assertFalse(ready.isDone());
    worker.report(FakeWorker.running(second).setReady(true));
    assertTrue(Conditions.isTrue(ready.join(), ConditionType.READY));
  }

  @Test
  void aWaitForAPlaceEndsWithIt() {
    CompletableFuture<MicroVm> scheduled = createAsync(probe("vm"), Wait.WAIT_SCHEDULED);
    await().until(() -> exists("vm"));
    assertFalse(scheduled.isDone());

    controller.join("a");
    assertEquals("nodes/a", scheduled.join().getStatus().getNode());
  }

  @Test
  void aWaitThatIsNotReachedInTimeLeavesTheMicroVmAndSaysHowFarItIs() {
    StatusRuntimeException refused =
        assertRefused(
            ErrorReason.WAIT_TIMED_OUT,
            () ->
                controller
                    .client()
                    .withDeadlineAfter(Duration.ofMillis(500).toMillis(), TimeUnit.MILLISECONDS)
                    .createMicroVm(probe("vm").toBuilder().setWait(Wait.WAIT_RUNNING).build()));

    assertEquals(MicroVmState.PENDING, state("vm"));
    assertEquals(
        name("vm") + " did not reach WAIT_RUNNING in time; it is PENDING: no node has joined yet",
        refused.getStatus().getDescription());
  }

  @Test
  void whyANodeRefusedItIsToldWhileItWaitsForAnother() {
    FakeWorker worker = controller.join("a");
    create(probe("vm"));
    reject(worker, ErrorReason.GUEST_NEEDS_HARDWARE_VIRTUALIZATION, "boot.kernel");

    String why =
        "0 of 1 node: 1 has just refused it; nodes/a: it is wrong"
            + " (GUEST_NEEDS_HARDWARE_VIRTUALIZATION)";
    await().until(() -> scheduledMessage(get("vm")).equals(why));
    assertEquals(MicroVmState.PENDING, state("vm"));
  }

  @Test
  void aWaitEndsWithTheControllerAndLeavesTheMicroVm() {
    CompletableFuture<MicroVm> running = createAsync(probe("vm"), Wait.WAIT_RUNNING);
    await().until(() -> exists("vm"));

    controller.microVms.endWaits();

    assertEquals(Optional.of(ErrorReason.STORE_UNAVAILABLE), Errors.reasonOf(refusal(running)));
    assertEquals(MicroVmState.PENDING, state("vm"));
    assertRefused(
        ErrorReason.STORE_UNAVAILABLE,
        () -> create(probe("vm2").toBuilder().setWait(Wait.WAIT_RUNNING).build()));
  }

  @Test
  void aSpecThatItsNodeRefusesIsAnErrorOfTheCreateThatWaitsAndLeavesNothing() {
    FakeWorker worker = controller.join("a");
    CreateMicroVmRequest request = withRequestId(probe("vm"));
    CompletableFuture<MicroVm> created = createAsync(request, Wait.WAIT_RUNNING);
    reject(worker, ErrorReason.DISK_NOT_FOUND, "disks[0].source");

    StatusRuntimeException refused = refusal(created);
    assertEquals(
        Map.of("spec.disks[0].source", "DISK_NOT_FOUND"), SpecValidatorTest.fields(refused));
    assertFalse(exists("vm"));
    // The client mends the disk and tries again.
    CompletableFuture<MicroVm> again = createAsync(request, Wait.WAIT_RUNNING);
    worker.report(FakeWorker.running(worker.nextAssignment()));
    assertEquals(MicroVmState.RUNNING, again.join().getStatus().getState());
  }

  @Test
  void aRetryDoesNotTakeBackWhatHasRun() {
    FakeWorker worker = controller.join("a");
    CreateMicroVmRequest request = withRequestId(probe("vm"));
    create(request);
    Assignment assignment = worker.nextAssignment();
    worker.report(
        FakeWorker.running(assignment)
            .setState(MicroVmState.STOPPED)
            .setTermination(Termination.newBuilder().setCause(Termination.Cause.GUEST_POWER_OFF)));
    awaitState("vm", MicroVmState.STOPPED);
    controller.client().startMicroVm(SteerMicroVmRequest.newBuilder().setName(name("vm")).build());
    reject(worker, ErrorReason.DISK_NOT_FOUND, "disks[0].source");
    awaitState("vm", MicroVmState.FAILED);

    StatusRuntimeException refused = refusal(createAsync(request, Wait.WAIT_RUNNING));

    assertEquals(
        Map.of("spec.disks[0].source", "DISK_NOT_FOUND"), SpecValidatorTest.fields(refused));
    assertEquals(MicroVmState.FAILED, state("vm"));
  }

  @Test
  void aRetryDoesNotTakeBackWhatHasRunOnANodeThatItHasLeft() {
    FakeWorker a = controller.join("a");
    CreateMicroVmRequest request =
        withRequestId(
            probe(
                "vm",
                spec -> {
                  spec.getLifecycleBuilder().setOnNodeLoss(NodeLoss.NODE_LOSS_RESCHEDULE);
                  return spec;
                }));
    Assignment first = running(a, request);
    FakeWorker b = controller.join("b");
    drain("a");
    assertTrue(a.next().getDesiredChange().hasRemove());
    a.report(FakeWorker.about(first, Outcome.REMOVED));
    reject(b, ErrorReason.DISK_NOT_FOUND, "disks[0].source");
    awaitState("vm", MicroVmState.FAILED);

    StatusRuntimeException refused = refusal(createAsync(request, Wait.WAIT_RUNNING));

    assertEquals(
        Map.of("spec.disks[0].source", "DISK_NOT_FOUND"), SpecValidatorTest.fields(refused));
    assertEquals(MicroVmState.FAILED, state("vm"));
    assertEquals(first.getUid(), create(request).getMeta().getUid());
  }

  @Test
  void aSpecThatASecondNodeRefusesLeavesNothingEither() {
    FakeWorker first = controller.join("a");
    CompletableFuture<MicroVm> created = createAsync(probe("vm"), Wait.WAIT_RUNNING);
    Assignment assignment = first.nextAssignment();
    FakeWorker second = controller.join("b");
    reject(first, assignment, ErrorReason.NODE_RESOURCES_EXHAUSTED, "");
    reject(second, ErrorReason.DISK_NOT_FOUND, "disks[0].source");

    assertEquals(Optional.of(ErrorReason.DISK_NOT_FOUND), Errors.reasonOf(refusal(created)));
    assertFalse(exists("vm"));
  }

  @Test
  void ofManyRetriesAtOnceOfASpecThatItsNodeRefusesEachIsToldSo() {
    FakeWorker worker = controller.join("a");
    CreateMicroVmRequest request = withRequestId(probe("vm"));
    List<CompletableFuture<MicroVm>> attempts =
        IntStream.range(0, 32).mapToObj(_ -> createAsync(request, Wait.WAIT_RUNNING)).toList();
    // Whoever comes after the others were refused makes it anew.
    Thread refusing =
        Thread.startVirtualThread(() -> {
          while (attempts.stream().anyMatch(attempt -> !attempt.isDone())) {
            worker
                .poll(Duration.ofMillis(50))
                .filter(message -> message.getDesiredChange().hasUpsert())
                .ifPresent(message ->
                    reject(
                        worker,
                        message.getDesiredChange().getUpsert(),
                        ErrorReason.KERNEL_INVALID,
                        "boot.kernel"));
          }
        });

    for (CompletableFuture<MicroVm> attempt : attempts) {
      assertEquals(
          Map.of("spec.boot.kernel", "KERNEL_INVALID"), SpecValidatorTest.fields(refusal(attempt)));
    }
    await().until(() -> !refusing.isAlive());
    assertFalse(exists("vm"));
  }

  @Test
  void aSpecThatItsNodeRefusesFailsWhereNobodyWaits() {
    FakeWorker worker = controller.join("a");
    create(probe("vm"));
    reject(worker, ErrorReason.KERNEL_INVALID, "boot.kernel");
    awaitState("vm", MicroVmState.FAILED);

    MicroVm failed = get("vm");
    assertEquals("", failed.getStatus().getNode());
    assertEquals(
        "KernelInvalid", Conditions.find(failed, ConditionType.FINISHED).orElseThrow().getReason());
    assertEquals(0, controller.nodeClient().getNode(node("a")).getStatus().getMicrovmCount());
  }

  @Test
  void aVmmThatFailsIsAnErrorOfTheCreateThatWaitsAndTheMicroVmStays() {
    FakeWorker worker = controller.join("a");
    CompletableFuture<MicroVm> created = createAsync(probe("vm"), Wait.WAIT_RUNNING);
    worker.report(
        FakeWorker.about(worker.nextAssignment(), Outcome.FAILED_NEEDS_CLEANUP)
            .setState(MicroVmState.FAILED)
            .setReason("VMM_FAILED")
            .setMessage("exit status 1"));

    assertEquals(Optional.of(ErrorReason.VMM_FAILED), Errors.reasonOf(refusal(created)));
    assertEquals(MicroVmState.FAILED, state("vm"));
  }

  @Test
  void aMicroVmThatIsDeletedMeanwhileEndsTheWait() {
    CompletableFuture<MicroVm> created = createAsync(probe("vm"), Wait.WAIT_RUNNING);
    await().until(() -> exists("vm"));
    controller
        .client()
        .deleteMicroVm(DeleteMicroVmRequest.newBuilder().setName(name("vm")).build());

    assertEquals(Optional.of(ErrorReason.MICROVM_NOT_FOUND), Errors.reasonOf(refusal(created)));
  }

  // ---- the store

  @Test
  void aStoreThatFailsIsSaidToFailAndNoWorkerHearsOfIt() {
    FakeWorker worker = controller.join("a");
    breakStore();

    assertRefused(ErrorReason.STORE_UNAVAILABLE, () -> create(probe("vm")));
    assertFalse(exists("vm"));
    assertTrue(worker.hasHeardNothing());
  }

  // ---- words of this test

  private static dev.vireo.proto.v1.GetNodeRequest node(String id) {
    return dev.vireo.proto.v1.GetNodeRequest.newBuilder().setName("nodes/" + id).build();
  }

  private void drain(String id) {
    Node.Builder node = Node.newBuilder();
    node.getMetaBuilder().setName("nodes/" + id);
    node.getSpecBuilder().setDrain(Drain.getDefaultInstance());
    var _ =
        controller
            .nodeClient()
            .updateNode(
                UpdateNodeRequest.newBuilder()
                    .setNode(node)
                    .setUpdateMask(FieldMask.newBuilder().addPaths("spec.drain"))
                    .build());
  }

  private static CreateMicroVmRequest withRequestId(CreateMicroVmRequest request) {
    return request.toBuilder().setRequestId(UUID.randomUUID().toString()).build();
  }

  /** An answer as it was stored, before it had a version. */
  private static MicroVm stored(MicroVm answer) {
    MicroVm.Builder stored = answer.toBuilder();
    stored.getMetaBuilder().clearResourceVersion().clearEtag();
    return stored.build();
  }

  private static String scheduledMessage(MicroVm microVm) {
    return Conditions.find(microVm, ConditionType.SCHEDULED).orElseThrow().getMessage();
  }

  private static void reject(FakeWorker worker, ErrorReason reason, String field) {
    reject(worker, worker.nextAssignment(), reason, field);
  }

  private static void reject(
      FakeWorker worker, Assignment assignment, ErrorReason reason, String field) {
    worker.report(
        FakeWorker.about(assignment, Outcome.REJECTED)
            .setState(MicroVmState.FAILED)
            .setReason(reason.name())
            .setField(field)
            .setMessage("it is wrong"));
  }

  private static StatusRuntimeException refusal(CompletableFuture<MicroVm> created) {
    return assertInstanceOf(
        StatusRuntimeException.class,
        assertThrows(CompletionException.class, created::join).getCause());
  }
}
