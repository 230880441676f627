package dev.vireo.systemtests;

import static dev.vireo.systemtests.LinuxGuests.assertLine;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.DeviceInspection;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.Termination.Cause;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/**
 * Debian's own arm64 kernel in microVMs, in a cluster that has nodes of both architectures; and all
 * devices of its machine under load at once. One class, since another JVM would start another node.
 */
@Tag("linux")
class Arm64GuestTest extends DeviceLoad {
  /** Where SPIs begin among a GIC's interrupts. */
  private static final int FIRST_SPI = 32;

  @RegisterExtension
  static final LinuxClusterExtension CLUSTER =
      new LinuxClusterExtension(Architecture.X86_64, Architecture.ARM64);

  private final LinuxGuests guests = CLUSTER.cluster().guests();

  @Override
  LinuxCluster cluster() {
    return CLUSTER.cluster();
  }

  @Override
  Architecture architecture() {
    return Architecture.ARM64;
  }

  @Test
  void aGuestGoesToANodeOfItsArchitectureAndRunsThere() {
    for (Architecture architecture : new Architecture[] {Architecture.ARM64, Architecture.X86_64}) {
      String name = "of-" + architecture.getNumber();

      MicroVm created = guests.start(name, LinuxGuests.debian(architecture, "io:64"));

      assertEquals("nodes/" + LinuxCluster.nameOf(architecture), created.getStatus().getNode());
      assertEquals(Cause.GUEST_POWER_OFF, guests.awaitEnd(name).getCause());
      String kernel = architecture == Architecture.ARM64 ? "arm64" : "amd64";
      assertLine(
          guests.console(name),
          "vireo: user space of Linux 6\\.1\\..*-cloud-%s .* Debian .*".formatted(kernel));
      assertLine(guests.console(name), "vireo: read 64 blocks of 4 KiB");
    }
  }

  @Test
  void guestAndVmmAgreeOnDevicesAndVcpusAndAStopIsHeeded() {
    MicroVmSpec.Builder spec = LinuxGuests.debian(Architecture.ARM64, "io:64,idle").setVcpus(2);
    guests.start("pair", spec);
    guests.awaitConsole("pair", "vireo: idle");

    Inspection inspection = guests.inspect("pair");
    DeviceInspection disk = inspection.getDevices(0);

    assertLine(guests.console("pair"), "vireo: cpus 0-1, .*");
    assertLine(
        guests.console("pair"),
        "vireo: virtio0 +virtio_blk +%08x-%08x +%d edge"
            .formatted(
                disk.getMmioBase(),
                disk.getMmioBase() + disk.getMmioSize() - 1,
                FIRST_SPI + disk.getGsi()));
    assertEquals("fdt", inspection.getAnnouncement());
    assertEquals(2, inspection.getVcpusCount());
    assertTrue(disk.getQueues(0).getNotifications() >= 64, disk::toString);
    assertTrue(
        inspection.getExitsMap().keySet().stream().noneMatch(cause -> cause.contains("notify")),
        "a notification exits to user space: " + inspection.getExitsMap());

    guests.stop("pair");

    assertEquals(Cause.STOPPED_BY_REQUEST, guests.awaitEnd("pair").getCause());
    assertLine(guests.console("pair"), "vireo: poweroff");
  }

  @Test
  void aGuestsResetIsSeen() {
    guests.start("restless", LinuxGuests.debian(Architecture.ARM64, "reboot"));

    assertEquals(Cause.GUEST_RESET, guests.awaitEnd("restless").getCause());
  }
}
