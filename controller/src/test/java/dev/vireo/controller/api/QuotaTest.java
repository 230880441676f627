package dev.vireo.controller.api;

import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.rpc.QuotaFailure;
import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.GetQuotaRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.Quota;
import dev.vireo.proto.v1.QuotaSpec;
import dev.vireo.proto.v1.SetQuotaRequest;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/** How much a project may have. */
final class QuotaTest extends ControllerTest {
  private static final Executor VIRTUAL_THREADS = Thread::startVirtualThread;

  @Test
  void withoutAQuotaNothingIsLimitedAndWhatThereIsIsCounted() {
    create(probe("vm", spec -> spec.setVcpus(2).setMemoryMib(128)));

    Quota quota = quota();
    assertEquals(QuotaSpec.getDefaultInstance(), quota.getSpec());
    assertEquals(1, quota.getStatus().getMicrovms());
    assertEquals(2, quota.getStatus().getVcpus());
    assertEquals(128, quota.getStatus().getMemoryMib());
  }

  @Test
  void aCreateBeyondAnyLimitIsRefusedAndNamesEach() throws Exception {
    set(QuotaSpec.newBuilder().setMicrovms(2).setVcpus(3).setMemoryMib(200));
    create(probe("one", spec -> spec.setVcpus(2).setMemoryMib(128)));

    StatusRuntimeException refused =
        assertRefused(
            ErrorReason.QUOTA_EXCEEDED,
            () -> create(probe("two", spec -> spec.setVcpus(2).setMemoryMib(128))));
    QuotaFailure failure = assertNotNullStatus(refused).getDetails(1).unpack(QuotaFailure.class);
    assertEquals(
        List.of(
            "2 vCPUs of 3 are in use, 2 more are wanted",
            "128 MiB of memory of 200 are in use, 128 more are wanted"),
        failure.getViolationsList().stream().map(QuotaFailure.Violation::getDescription).toList());
    assertEquals("projects/test", failure.getViolations(0).getSubject());
    assertFalse(exists("two"));

    create(probe("two"));
    assertRefused(ErrorReason.QUOTA_EXCEEDED, () -> create(probe("three")));
    assertRefused(
        ErrorReason.QUOTA_EXCEEDED,
        () -> create(probe("three").toBuilder().setValidateOnly(true).build()));
    assertRefused(ErrorReason.MICROVM_ALREADY_EXISTS, () -> create(probe("two")));
    create(probe("theirs").toBuilder().setParent("projects/other").build());
  }

  @Test
  void aDeleteMakesRoomOnceItsNodeHasLetGo() {
    FakeWorker worker = controller.join("a");
    set(QuotaSpec.newBuilder().setMicrovms(1));
    var assignment = running(worker, "vm");
    var _ =
        controller
            .client()
            .deleteMicroVm(DeleteMicroVmRequest.newBuilder().setName(name("vm")).build());
    assertRefused(ErrorReason.QUOTA_EXCEEDED, () -> create(probe("next")));

    worker.report(FakeWorker.removed(assignment.getUid()));
    awaitGone("vm");

    create(probe("next"));
  }

  @Test
  void aRetryGetsItsFirstAnswerThoughThereIsRoomForNoMore() {
    set(QuotaSpec.newBuilder().setMicrovms(1));
    CreateMicroVmRequest request =
        probe("vm").toBuilder().setRequestId(UUID.randomUUID().toString()).build();

    assertEquals(create(request).getMeta().getUid(), create(request).getMeta().getUid());
  }

  @Test
  void whatCameToNothingTakesUpNothing() {
    set(QuotaSpec.newBuilder().setMicrovms(2));
    create(probe("vm"));
    assertRefused(ErrorReason.MICROVM_ALREADY_EXISTS, () -> create(probe("vm")));

    assertEquals(1, quota().getStatus().getMicrovms());
    create(probe("second"));
  }

  /** Many at once, more than one project's worth: exactly as many as the quota allows. */
  @Test
  void concurrentCreatesNeverExceedItTogether() {
    set(QuotaSpec.newBuilder().setMicrovms(25).setMemoryMib(64 * 20));
    AtomicInteger most = new AtomicInteger();
    controller.microVms.listen(
        _ -> most.accumulateAndGet(controller.microVms.all().size(), Math::max));
    List<CompletableFuture<Optional<MicroVm>>> creates = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      String id = "vm" + i;
      creates.add(CompletableFuture.supplyAsync(() -> createUnlessRefused(id), VIRTUAL_THREADS));
    }

    long created = creates.stream().map(CompletableFuture::join).flatMap(Optional::stream).count();

    assertEquals(20, created);
    assertEquals(20, most.get());
    assertEquals(20, quota().getStatus().getMicrovms());
  }

  private Optional<MicroVm> createUnlessRefused(String id) {
    try {
      return Optional.of(create(probe(id)));
    } catch (StatusRuntimeException e) {
      assertEquals(Optional.of(ErrorReason.QUOTA_EXCEEDED), Errors.reasonOf(e));
      return Optional.empty();
    }
  }

  @Test
  void limitsOutliveARestartAndMayBeBelowWhatThereIs() {
    create(probe("one"));
    create(probe("two"));
    set(QuotaSpec.newBuilder().setMicrovms(1));
    restart();

    assertEquals(1, quota().getSpec().getMicrovms());
    assertEquals(2, quota().getStatus().getMicrovms());
    assertTrue(exists("two"));
    assertRefused(ErrorReason.QUOTA_EXCEEDED, () -> create(probe("three")));
    set(QuotaSpec.newBuilder());
    create(probe("three"));
  }

  @Test
  void itsEtagGuardsItAndItsNameIsChecked() {
    String etag = set(QuotaSpec.newBuilder().setMicrovms(1)).getMeta().getEtag();
    Quota second = set(QuotaSpec.newBuilder().setMicrovms(2));
    assertEquals(2, second.getMeta().getGeneration());

    assertRefused(
        ErrorReason.ETAG_MISMATCH,
        () ->
            controller
                .quotaClient()
                .setQuota(SetQuotaRequest.newBuilder().setQuota(second).setEtag(etag).build()));
    assertRefused(
        ErrorReason.FIELD_INVALID,
        () ->
            controller
                .quotaClient()
                .getQuota(GetQuotaRequest.newBuilder().setName("projects/test").build()));
  }

  private Quota quota() {
    return controller
        .quotaClient()
        .getQuota(GetQuotaRequest.newBuilder().setName("projects/test/quota").build());
  }

  private Quota set(QuotaSpec.Builder limits) {
    Quota.Builder quota = Quota.newBuilder().setSpec(limits);
    quota.getMetaBuilder().setName("projects/test/quota");
    return controller.quotaClient().setQuota(SetQuotaRequest.newBuilder().setQuota(quota).build());
  }

  private static com.google.rpc.Status assertNotNullStatus(StatusRuntimeException error) {
    com.google.rpc.Status status = StatusProto.fromThrowable(error);
    assertNotNull(status);
    return status;
  }
}
