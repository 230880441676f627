package dev.vireo.systemtests;

import static dev.vireo.systemtests.LinuxGuests.assertLine;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vireo.proto.v1.Announcement;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.Termination.Cause;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Vireo's own kernel, which Debian's cannot stand in for: its devices are announced on the command
 * line. It is not compiled for this test, which is skipped where nobody has done so.
 */
@Tag("linux")
@EnabledIf("someIsCompiled")
class VireoKernelTest {
  private static final String IMAGE = "vireo-6.1";

  @RegisterExtension
  static final LinuxClusterExtension CLUSTER = new LinuxClusterExtension(Architecture.X86_64);

  private final LinuxGuests guests = CLUSTER.cluster().guests();

  /** Without one no node need be started. */
  static boolean someIsCompiled() {
    return LinuxCluster.cache().resolve("kernels").resolve(IMAGE + "-x86_64").toFile().exists();
  }

  /** What is compiled may be of another configuration than today's. */
  @BeforeEach
  void needsTheKernel() {
    assumeTrue(
        CLUSTER.cluster().hasImage(Architecture.X86_64, IMAGE),
        "the kernel has not been compiled: ./vireo kernel build");
  }

  @ParameterizedTest
  @CsvSource({"AUTO, cmdline", "ACPI, acpi"})
  void itFindsEveryDevice(Announcement announcement, String announced) {
    MicroVmSpec.Builder spec = guest("io:64,rng:1000,idle").setVcpus(2);
    spec.getBootBuilder().setAnnouncement(announcement);
    spec.addNetworksBuilder().setId("lan");
    spec.getVsockBuilder();
    spec.getEntropyBuilder();
    spec.getBalloonBuilder();
    spec.getVirtioConsoleBuilder().addPortsBuilder().setName("hvc0").setConsole(true);
    guests.start("own", spec);
    guests.awaitConsole("own", "vireo: idle");

    String console = guests.console("own");
    Inspection inspection = guests.inspect("own");
    assertEquals(announced, inspection.getAnnouncement());
    assertLine(console, "vireo: user space of Linux 6\\.1\\.\\d+-vireo .*");
    assertLine(console, "vireo: cpus 0-1, .*");
    assertLine(console, "vireo: disk /dev/vda mounted on / as ext4 rw, 16 MiB, boot 1 from it");
    List<String> drivers =
        List.of(
            "virtio_blk",
            "virtio_net",
            "vmw_vsock_virtio_transport",
            "virtio_rng",
            "virtio_balloon",
            "virtio_console");
    for (int i = 0; i < drivers.size(); i++) {
      assertLine(
          console,
          "vireo: virtio%d +%s +%08x-.* +%d edge"
              .formatted(
                  i,
                  drivers.get(i),
                  inspection.getDevices(i).getMmioBase(),
                  inspection.getDevices(i).getGsi()));
    }
    assertLine(console, "vireo: read 64 blocks of 4 KiB");
    assertLine(console, "vireo: read 1000 bytes from virtio_rng.0, 9\\d\\d of them not zero");

    guests.stop("own");

    assertEquals(Cause.STOPPED_BY_REQUEST, guests.awaitEnd("own").getCause());
    assertLine(guests.console("own"), "vireo: poweroff");
  }

  @Test
  void itPowersItselfOff() {
    guests.start("short", guest("io:1"));

    assertEquals(Cause.GUEST_POWER_OFF, guests.awaitEnd("short").getCause());
  }

  @Test
  void itsResetIsSeen() {
    guests.start("restless", guest("reboot"));

    assertEquals(Cause.GUEST_RESET, guests.awaitEnd("restless").getCause());
  }

  private static MicroVmSpec.Builder guest(String run) {
    MicroVmSpec.Builder spec = LinuxGuests.debian(run);
    spec.getBootBuilder().setKernel(IMAGE);
    return spec;
  }
}
