package dev.vireo.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.OwnedProcesses;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The yardstick itself: the probe under QEMU on this host's KVM. */
@Tag("kvm")
class QemuMicrovmTest {
  @Test
  void theProbeWritesReadsAndComparesADisk() throws Exception {
    try (OwnedProcesses processes = OwnedProcesses.create("vireo-test")) {
      Path disk = processes.directory().resolve("disk.raw");
      try (RandomAccessFile file = new RandomAccessFile(disk.toFile(), "rw")) {
        file.setLength(8 << 20);
      }
      QemuMicrovm qemu = new QemuMicrovm(Installation.find().probe(), processes);

      ProbeOutput output =
          qemu.run(
                  GuestSetup.of("probe.run=blk-verify probe.depth=32 probe.ops=512").withDisk(disk))
              .output();

      assertEquals((8 << 20) / 512, output.number("capacity_sectors"));
      assertEquals(0, output.number("wrong_words"));
      assertEquals(List.of(), processes.alive());
    }
  }

  @Test
  void anIdleGuestHasStarted() throws Exception {
    try (OwnedProcesses processes = OwnedProcesses.create("vireo-test")) {
      QemuMicrovm qemu = new QemuMicrovm(Installation.find().probe(), processes);

      QemuMicrovm.Guest guest = qemu.start(GuestSetup.of("probe.run=idle"));

      assertTrue(ProcessMemory.pssMib(guest.process().pid()) > 1);
      qemu.stop(guest);
      assertEquals(List.of(), processes.alive());
    }
  }
}
