package dev.vireo.vmm.machine;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.Fd;
import dev.vireo.linux.testing.Patience;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.vmm.virtio.balloon.BalloonDevice;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The probe's driver of a balloon: what this process, which is the VMM here, has of its memory. */
@Tag("kvm")
final class ProbeBalloonTest {
  private static final String PROBE =
      Path.of(System.getProperty("vireo.root"), "ops/guest/probe/build/probe.elf").toString();
  private static final long MIB = 1 << 20;
  private static final long REGION = 32 * MIB;

  /** Below it is the probe itself. */
  private static final int MEMORY_MIB = 16 + 32;

  private final BalloonDevice balloon = new BalloonDevice("balloon", 0, Duration.ZERO, true, true);

  private TestMachine start(String program, Fd kernel) {
    return start(program, kernel, TestMachine.with());
  }

  private TestMachine start(String program, Fd kernel, TestMachine.Builder machine) {
    return machine
        .memoryMib(MEMORY_MIB)
        .commandLine("probe.run=" + program)
        .readyMarker("balloon=touched")
        .devices(balloon)
        .build(kernel)
        .start();
  }

  private void awaitGauge(String gauge, long value) {
    await()
        .atMost(Patience.ofSeconds(60))
        .until(() -> balloon.gauges().getOrDefault(gauge, -1L) == value);
  }

  @Test
  void theHostHasMemoryBackThatIsInTheBalloonAndTheGuestGetsItZeroed() throws IOException {
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine = start("balloon-follow", kernel)) {
      machine.awaitReady();
      long touched = Resident.bytes(Resident.ALL);
      balloon.setTarget(REGION);
      awaitGauge("actual_bytes", REGION);
      long inflated = Resident.bytes(Resident.ALL);
      assertTrue(
          touched - inflated > REGION - Resident.NOISE,
          touched + " before, " + inflated + " after");
      awaitGauge("guest_free_bytes", 0);
      balloon.setTarget(0);
      assertEquals(EndCause.END_GUEST_POWER_OFF, machine.awaitEnd().cause(), machine::console);
      assertTrue(machine.console().contains("probe: passed"), machine::console);
    }
    // Lists of 256 pages side by side: a call each.
    assertEquals(REGION / 4096, balloon.counters().get("pages_inflated"));
    assertEquals(REGION / 4096 / 256, balloon.counters().get("discards"));
    assertEquals(REGION / 4096, balloon.counters().get("pages_deflated"));
  }

  @Test
  void pagesOfAFileAreFreedInTheFile() throws IOException {
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        Fd memory = Fd.sealedMemory("guest", MEMORY_MIB * MIB);
        TestMachine machine =
            start("balloon-follow", kernel, TestMachine.with().memoryFile(memory, 4096))) {
      machine.awaitReady();
      long touched = Resident.bytes(Resident.OF_FILES);
      balloon.setTarget(REGION);
      awaitGauge("actual_bytes", REGION);
      long freed = touched - Resident.bytes(Resident.OF_FILES);
      // Meanwhile the guest has touched a few pages more of its own.
      assertTrue(freed > REGION - MIB, freed + " bytes were freed");
      balloon.setTarget(0);
      assertEquals(EndCause.END_GUEST_POWER_OFF, machine.awaitEnd().cause(), machine::console);
      assertTrue(machine.console().contains("probe: passed"), machine::console);
    }
  }

  @Test
  void theHostHasPagesBackThatAreReportedFree() {
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine = start("balloon-report", kernel)) {
      assertEquals(EndCause.END_GUEST_POWER_OFF, machine.awaitEnd().cause(), machine::console);
      assertTrue(machine.console().contains("probe: passed"), machine::console);
    }
    assertEquals(REGION, balloon.counters().get("bytes_reported"));
  }

  @Test
  void aHostileDriverGetsNothingButItsDue() {
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine = start("balloon-hostile", kernel)) {
      assertEquals(EndCause.END_GUEST_POWER_OFF, machine.awaitEnd().cause(), machine::console);
      assertTrue(machine.console().contains("probe: passed"), machine::console);
    }
    Map<String, Long> counters = balloon.counters();
    assertEquals(4, counters.get("errors_outside_memory"));
    // 255 of a list, and 1,023 of each of the oversized one's sixteen parts.
    assertEquals(255 + 16 * 1023, counters.get("pages_repeated"));
    assertEquals(5, counters.get("errors_malformed"));
    assertEquals(3, counters.get("errors_descriptors"));
    assertEquals(1, counters.get("errors_oversized"));
  }
}
