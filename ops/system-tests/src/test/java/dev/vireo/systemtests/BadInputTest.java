package dev.vireo.systemtests;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.bench.cluster.ProbeSpec;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.ListMicroVmsRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmSpec;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/**
 * Bad input is refused with a reason of the catalogue that names the field, and nothing changes.
 */
@Tag("kvm")
class BadInputTest {
  @RegisterExtension static final ClusterExtension CLUSTER = new ClusterExtension(1);

  @TempDir private Path directory;

  private List<MicroVm> before = List.of();

  @BeforeEach
  void remember() {
    before = CLUSTER.microVms().list();
  }

  /** Neither at the controller nor, once what was begun there has been cleaned up, on the node. */
  @AfterEach
  void nothingChanged() {
    assertEquals(before, CLUSTER.microVms().list());
    await()
        .atMost(ClusterExtension.PATIENCE)
        .until(() -> CLUSTER.cluster().microVmDirectories().size() == before.size());
  }

  @Test
  void anUnknownKernel() {
    assertRefused(ErrorReason.KERNEL_NOT_FOUND, "spec.boot.kernel", withKernel("no-such-image"));
    assertRefused(ErrorReason.KERNEL_NOT_FOUND, "spec.boot.kernel", withKernel("/no/such/file"));
  }

  @Test
  void aKernelOfAnotherArchitecture() throws IOException {
    MicroVmSpec spec = withKernel(BadFiles.armElf(directory));

    assertRefused(ErrorReason.KERNEL_WRONG_ARCHITECTURE, "spec.boot.kernel", spec);
    assertRefused(
        ErrorReason.KERNEL_WRONG_ARCHITECTURE,
        "spec.boot.kernel",
        spec.toBuilder().setArchitecture(Architecture.X86_64).build());
    assertRefused(
        ErrorReason.KERNEL_WRONG_ARCHITECTURE,
        "spec.boot.kernel",
        probe().setArchitecture(Architecture.ARM64).build());
  }

  @Test
  void aTruncatedElf() throws IOException {
    assertRefused(
        ErrorReason.KERNEL_INVALID,
        "spec.boot.kernel",
        withKernel(BadFiles.truncatedElf(directory)));
  }

  @Test
  void aTruncatedBzImage() throws IOException {
    assertRefused(
        ErrorReason.KERNEL_INVALID,
        "spec.boot.kernel",
        withKernel(BadFiles.truncatedBzImage(directory)));
  }

  @Test
  void noVcpusAndTenThousand() {
    assertRefused(ErrorReason.FIELD_INVALID, "spec.vcpus", probe().setVcpus(0).build());
    assertRefused(ErrorReason.FIELD_INVALID, "spec.vcpus", probe().setVcpus(10_000).build());
  }

  @Test
  void memoryBelowTheKernelsNeed() throws IOException {
    assertRefused(ErrorReason.FIELD_INVALID, "spec.memory_mib", probe().setMemoryMib(1).build());
    assertRefused(
        ErrorReason.MEMORY_TOO_SMALL,
        "spec.memory_mib",
        withKernel(BadFiles.elfThatNeeds(256, directory)));
  }

  @Test
  void memoryAboveAnyNodes() {
    assertRefused(
        ErrorReason.FIELD_INVALID,
        "spec.memory_mib",
        probe().setMemoryMib(8L << 20).build()); // 8 TiB
  }

  @Test
  void aDiskThatIsADirectory() {
    assertRefused(ErrorReason.DISK_INVALID, "spec.disks[0].source", withDisk(directory));
  }

  @Test
  void aDiskThatIsNotThere() {
    assertRefused(
        ErrorReason.DISK_NOT_FOUND, "spec.disks[0].source", withDisk(directory.resolve("nothing")));
  }

  @Test
  void aDiskWithHalfASector() throws IOException {
    assertRefused(
        ErrorReason.DISK_INVALID,
        "spec.disks[0].source",
        withDisk(BadFiles.halfASector(directory)));
  }

  @Test
  void aCommandLineThatIsTooLong() {
    MicroVmSpec.Builder spec = probe();
    spec.getBootBuilder().setCommandLine("x".repeat(2_048));

    assertRefused(ErrorReason.COMMAND_LINE_TOO_LONG, "spec.boot.command_line", spec.build());
  }

  @Test
  void everyViolationIsNamedAtOnce() {
    Refusal refusal = refusalOf(probe().setVcpus(0).setMemoryMib(1).build());

    assertEquals(
        List.of("spec.vcpus", "spec.memory_mib"), refusal.fields().stream().limit(2).toList());
  }

  @Test
  void aDuplicateName() {
    CLUSTER
        .microVms()
        .create("taken", ProbeSpec.of("probe.run=idle"), CreateMicroVmRequest.Wait.WAIT_READY);
    remember();

    Refusal refusal = refusalOf("taken", ProbeSpec.of("probe.run=hello"));

    assertEquals(ErrorReason.MICROVM_ALREADY_EXISTS, refusal.reason());
  }

  @Test
  void aRequestIdUsedForAnotherSpec() {
    CreateMicroVmRequest request =
        CLUSTER
            .microVms()
            .request("first", ProbeSpec.of("probe.run=idle"))
            .setWait(CreateMicroVmRequest.Wait.WAIT_READY)
            .build();
    MicroVm first = CLUSTER.microVms().api().createMicroVm(request);
    remember();
    CreateMicroVmRequest.Builder changed = request.toBuilder();
    changed.getMicrovmBuilder().getSpecBuilder().setMemoryMib(64);

    Refusal refusal = Refusal.of(() -> CLUSTER.microVms().api().createMicroVm(changed.build()));

    assertEquals(ErrorReason.REQUEST_ID_REUSED, refusal.reason());
    assertEquals(
        first.getMeta().getUid(),
        CLUSTER.microVms().api().createMicroVm(request).getMeta().getUid(),
        "a retry of the same request gets the first answer");
  }

  @Test
  void aPageTokenFromElsewhere() {
    for (String id : List.of("one", "two")) {
      CLUSTER
          .microVms()
          .create(id, ProbeSpec.of("probe.run=idle"), CreateMicroVmRequest.Wait.WAIT_READY);
    }
    remember();
    ListMicroVmsRequest list =
        ListMicroVmsRequest.newBuilder()
            .setParent(CLUSTER.microVms().parent())
            .setPageSize(1)
            .build();
    String token = CLUSTER.microVms().api().listMicroVms(list).getNextPageToken();
    ListMicroVmsRequest.Builder second = list.toBuilder().setPageToken(token);
    assertEquals(1, CLUSTER.microVms().api().listMicroVms(second.build()).getMicrovmsCount());

    assertTokenRefused(second.clone().setParent("projects/another").build());
    assertTokenRefused(second.clone().setLabelSelector("a=b").build());
    assertTokenRefused(list.toBuilder().setPageToken("bm90IG91cnM").build());
  }

  private static void assertTokenRefused(ListMicroVmsRequest request) {
    Refusal refusal = Refusal.of(() -> CLUSTER.microVms().api().listMicroVms(request));

    assertEquals(ErrorReason.PAGE_TOKEN_INVALID, refusal.reason());
    assertEquals(List.of("page_token"), refusal.fields());
  }

  private static MicroVmSpec.Builder probe() {
    return ProbeSpec.of("probe.run=idle").toBuilder();
  }

  private static MicroVmSpec withKernel(Path kernel) {
    return withKernel(kernel.toString());
  }

  private static MicroVmSpec withKernel(String kernel) {
    MicroVmSpec.Builder spec = probe();
    spec.getBootBuilder().setKernel(kernel);
    return spec.build();
  }

  private static MicroVmSpec withDisk(Path disk) {
    return ProbeSpec.with("probe.run=idle", disk);
  }

  private static void assertRefused(ErrorReason reason, String field, MicroVmSpec spec) {
    Refusal refusal = refusalOf(spec);
    assertEquals(reason, refusal.reason(), refusal.message());
    assertTrue(refusal.fields().contains(field), () -> field + " is not blamed: " + refusal);
  }

  private static Refusal refusalOf(MicroVmSpec spec) {
    return refusalOf("refused", spec);
  }

  /** Waits for the microVM to run: some of it only its node can know. */
  private static Refusal refusalOf(String id, MicroVmSpec spec) {
    return Refusal.of(
        () -> CLUSTER.microVms().create(id, spec, CreateMicroVmRequest.Wait.WAIT_RUNNING));
  }
}
