package dev.vireo.systemtests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.ProbeSpec;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.ListMicroVmsRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmSpec;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
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

  /** ELF64: e_machine, and p_memsz of the first program header behind the 64-byte ELF header. */
  private static final int ELF_MACHINE = 18;

  private static final int ELF_FIRST_SEGMENT_MEMORY_SIZE = 64 + 40;
  private static final short EM_AARCH64 = 183;

  @TempDir private Path directory;

  private List<MicroVm> before = List.of();

  @BeforeEach
  void remember() {
    before = CLUSTER.microVms().list();
  }

  @AfterEach
  void nothingChanged() {
    assertEquals(before, CLUSTER.microVms().list());
  }

  @Test
  void anUnknownKernel() {
    assertRefused(ErrorReason.KERNEL_NOT_FOUND, "spec.boot.kernel", withKernel("no-such-image"));
    assertRefused(ErrorReason.KERNEL_NOT_FOUND, "spec.boot.kernel", withKernel("/no/such/file"));
  }

  @Test
  void aKernelOfAnotherArchitecture() throws IOException {
    Path kernel = patchedProbe(elf -> elf.putShort(ELF_MACHINE, EM_AARCH64));

    assertRefused(
        ErrorReason.KERNEL_WRONG_ARCHITECTURE,
        "spec.boot.kernel",
        withKernel(kernel.toString()).toBuilder().setArchitecture(Architecture.X86_64).build());
  }

  @Test
  void aTruncatedElf() throws IOException {
    byte[] elf = Files.readAllBytes(Installation.find().probe());
    Path kernel = Files.write(directory.resolve("vmlinux"), Arrays.copyOf(elf, elf.length / 2));

    assertRefused(ErrorReason.KERNEL_INVALID, "spec.boot.kernel", withKernel(kernel.toString()));
  }

  /**
   * Linux's Documentation/arch/x86/boot.rst: a whole setup header, and nothing of what it promises.
   */
  @Test
  void aTruncatedBzImage() throws IOException {
    assumeTrue(
        CLUSTER.cluster().status().orElseThrow().getCapabilities().getRunsLinuxGuests(),
        "a node whose KVM boots no Linux refuses every bzImage unread");
    ByteBuffer setup = ByteBuffer.allocate(1024).order(ByteOrder.LITTLE_ENDIAN);
    setup.put(0x1f1, (byte) 30); // setup_sects
    setup.putInt(0x1f4, 0x80000); // syssize, in 16 bytes
    setup.putShort(0x1fe, (short) 0xaa55); // boot_flag
    setup.putShort(0x200, (short) 0x6aeb); // jump over the header
    setup.put(0x202, "HdrS".getBytes(java.nio.charset.StandardCharsets.US_ASCII));
    setup.putShort(0x206, (short) 0x020f); // protocol version
    setup.put(0x211, (byte) 1); // LOADED_HIGH
    setup.putShort(0x236, (short) 1); // XLF_KERNEL_64
    Path kernel = Files.write(directory.resolve("bzImage"), setup.array());

    assertRefused(ErrorReason.KERNEL_INVALID, "spec.boot.kernel", withKernel(kernel.toString()));
  }

  @Test
  void noVcpusAndTenThousand() {
    assertRefused(ErrorReason.FIELD_INVALID, "spec.vcpus", probe().setVcpus(0).build());
    assertRefused(ErrorReason.FIELD_INVALID, "spec.vcpus", probe().setVcpus(10_000).build());
  }

  @Test
  void memoryBelowTheKernelsNeed() throws IOException {
    assertRefused(ErrorReason.FIELD_INVALID, "spec.memory_mib", probe().setMemoryMib(1).build());
    Path large = patchedProbe(elf -> elf.putLong(ELF_FIRST_SEGMENT_MEMORY_SIZE, 256L << 20));
    assertRefused(ErrorReason.MEMORY_TOO_SMALL, "spec.memory_mib", withKernel(large.toString()));
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
    Path disk = Files.write(directory.resolve("disk.raw"), new byte[512 + 256]);

    assertRefused(ErrorReason.DISK_INVALID, "spec.disks[0].source", withDisk(disk));
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
    MicroVm first = CLUSTER.microVms().create("taken", ProbeSpec.of("probe.run=idle"));
    before = List.of();

    Refusal refusal = refusalOf("taken", ProbeSpec.of("probe.run=hello"));

    assertEquals(ErrorReason.MICROVM_ALREADY_EXISTS, refusal.reason());
    assertEquals(first.getMeta().getUid(), CLUSTER.microVms().get("taken").getMeta().getUid());
    assertEquals(first.getSpec(), CLUSTER.microVms().get("taken").getSpec());
    remember();
  }

  @Test
  void aRequestIdUsedForAnotherSpec() {
    CreateMicroVmRequest request =
        CLUSTER.microVms().request("first", ProbeSpec.of("probe.run=idle")).build();
    MicroVm first = CLUSTER.microVms().api().createMicroVm(request);
    CreateMicroVmRequest.Builder changed = request.toBuilder();
    changed.getMicrovmBuilder().getSpecBuilder().setMemoryMib(64);

    Refusal refusal = Refusal.of(() -> CLUSTER.microVms().api().createMicroVm(changed.build()));

    assertEquals(ErrorReason.REQUEST_ID_REUSED, refusal.reason());
    assertEquals(
        first.getMeta().getUid(),
        CLUSTER.microVms().api().createMicroVm(request).getMeta().getUid(),
        "a retry of the same request gets the first answer");
    assertEquals(1, CLUSTER.microVms().list().size());
    remember();
  }

  @Test
  void aPageTokenFromElsewhere() {
    Refusal refusal =
        Refusal.of(() ->
            CLUSTER
                .microVms()
                .api()
                .listMicroVms(
                    ListMicroVmsRequest.newBuilder()
                        .setParent(CLUSTER.microVms().parent())
                        .setPageToken("bm90IG91cnM")
                        .build()));

    assertEquals(ErrorReason.PAGE_TOKEN_INVALID, refusal.reason());
  }

  private static MicroVmSpec.Builder probe() {
    return ProbeSpec.of("probe.run=idle").toBuilder();
  }

  private static MicroVmSpec withKernel(String kernel) {
    MicroVmSpec.Builder spec = probe();
    spec.getBootBuilder().setKernel(kernel);
    return spec.build();
  }

  private static MicroVmSpec withDisk(Path disk) {
    return ProbeSpec.with("probe.run=idle", disk);
  }

  private interface Patch {
    void apply(ByteBuffer elf);
  }

  private Path patchedProbe(Patch patch) throws IOException {
    byte[] elf = Files.readAllBytes(Installation.find().probe());
    patch.apply(ByteBuffer.wrap(elf).order(ByteOrder.LITTLE_ENDIAN));
    return Files.write(directory.resolve("patched.elf"), elf);
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
