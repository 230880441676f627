package dev.vireo.systemtests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.cli.ExitCode;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.MicroVm;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** {@link BadInputTest} by {@code vireo run}: what a person is told, and what a script is. */
@Tag("kvm")
class BadInputByCommandLineTest {
  @RegisterExtension static final ClusterExtension CLUSTER = new ClusterExtension(1);

  @TempDir private Path directory;

  private final Vireo vireo = new Vireo(CLUSTER.cluster());

  @AfterEach
  void nothingIsLeft() {
    assertEquals(List.of(), CLUSTER.microVms().list());
  }

  @Test
  void kernels() throws IOException {
    assertRefused(ErrorReason.KERNEL_NOT_FOUND, "spec.boot.kernel", "--kernel", "no-such-image");
    assertRefused(ErrorReason.KERNEL_NOT_FOUND, "spec.boot.kernel", "--kernel", "/no/such/file");
    assertKernelRefused(ErrorReason.KERNEL_WRONG_ARCHITECTURE, BadFiles.armElf(directory));
    assertKernelRefused(ErrorReason.KERNEL_INVALID, BadFiles.truncatedElf(directory));
    assertKernelRefused(ErrorReason.KERNEL_INVALID, BadFiles.truncatedBzImage(directory));
  }

  @Test
  void sizes() throws IOException {
    assertRefused(ErrorReason.FIELD_INVALID, "spec.vcpus", "--vcpus", "0");
    assertRefused(ErrorReason.FIELD_INVALID, "spec.vcpus", "--vcpus", "10000");
    assertRefused(ErrorReason.FIELD_INVALID, "spec.memory_mib", "--memory", "1");
    assertRefused(ErrorReason.FIELD_INVALID, "spec.memory_mib", "--memory", "8192G");
    assertRefused(
        ErrorReason.MEMORY_TOO_SMALL,
        "spec.memory_mib",
        "--kernel",
        BadFiles.elfThatNeeds(512, directory).toString());
  }

  @Test
  void disks() throws IOException {
    assertDiskRefused(ErrorReason.DISK_INVALID, directory);
    assertDiskRefused(ErrorReason.DISK_INVALID, BadFiles.halfASector(directory));
    assertDiskRefused(ErrorReason.DISK_NOT_FOUND, directory.resolve("nothing"));
  }

  @Test
  void aCommandLineThatIsTooLong() {
    assertRefused(
        ErrorReason.COMMAND_LINE_TOO_LONG,
        "spec.boot.command_line",
        "--cmdline",
        "x".repeat(2_048));
  }

  @Test
  void aDuplicateName() {
    String[] run = {"run", "taken", "--kernel=probe", "--cmdline=probe.run=idle", "--wait=ready"};
    assertEquals(ExitCode.OK, vireo.run(run).exitCode());
    List<MicroVm> before = CLUSTER.microVms().list();

    Vireo.Result result = vireo.run(run);

    assertTold(ErrorReason.MICROVM_ALREADY_EXISTS, "taken exists", result);
    assertEquals(before, CLUSTER.microVms().list());
    assertEquals(ExitCode.OK, vireo.run("delete", "taken", "--force", "--wait").exitCode());
  }

  private void assertKernelRefused(ErrorReason reason, Path kernel) {
    assertRefused(reason, "spec.boot.kernel: ", "--kernel", kernel.toString());
  }

  private void assertDiskRefused(ErrorReason reason, Path disk) {
    assertRefused(reason, "spec.disks[0].source: ", "--disk", disk.toString());
  }

  private void assertRefused(ErrorReason reason, String field, String... options) {
    List<String> arguments =
        new ArrayList<>(List.of("run", "refused", "--wait=running", "--timeout=20s"));
    if (!List.of(options).contains("--kernel")) {
      arguments.add("--kernel=probe");
    }
    arguments.addAll(List.of(options));
    assertTold(reason, field, vireo.run(arguments.toArray(String[]::new)));
  }

  private static void assertTold(ErrorReason reason, String what, Vireo.Result result) {
    assertEquals(ExitCode.REFUSED, result.exitCode(), result.err());
    assertEquals("", result.out());
    for (String part : List.of(what, "reason: " + reason, "remedy: " + reason.remedy())) {
      assertTrue(result.err().contains(part), () -> part + " is not in " + result.err());
    }
  }
}
