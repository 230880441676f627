package dev.vireo.vmm.machine;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.Fd;
import dev.vireo.linux.testing.Patience;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.vmm.memory.HotplugLayout;
import dev.vireo.vmm.virtio.memory.MemoryDevice;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The probe's driver of memory that is plugged and unplugged, on KVM's own memory slots. */
@Tag("kvm")
final class ProbeMemoryTest {
  private static final String PROBE =
      Path.of(System.getProperty("vireo.root"), "ops/guest/probe/build/probe.elf").toString();
  private static final long MIB = 1 << 20;
  private static final int MEMORY_MIB = 16;
  private static final long BLOCK = 2 * MIB;

  /** KVM has a memory slot for each 128 MiB of it: two. */
  private static final HotplugLayout LAYOUT =
      new HotplugLayout(X86Machine.hotplugBaseFor(MEMORY_MIB * MIB), 160 * MIB, BLOCK);

  private static TestMachine.Builder machine(String program, MemoryDevice device) {
    return TestMachine.with()
        .memoryMib(MEMORY_MIB)
        .hotplug(LAYOUT)
        .commandLine("probe.run=" + program)
        .readyMarker("memory=0")
        .devices(device);
  }

  @ParameterizedTest
  @ValueSource(strings = {Resident.ALL, Resident.OF_FILES})
  void aGuestUsesWhatIsPluggedAndTheHostHasBackWhatIsUnplugged(String resident) throws Exception {
    var device = new MemoryDevice("memory", LAYOUT, 0);
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        Fd memory = Fd.sealedMemory("guest", MEMORY_MIB * MIB + LAYOUT.bytes())) {
      TestMachine.Builder builder = machine("memory-follow", device);
      if (resident.equals(Resident.OF_FILES)) {
        builder.memoryFile(memory, 4096);
      }
      try (TestMachine machine = builder.build(kernel).start()) {
        machine.awaitReady();
        long before = Resident.bytes(resident);

        plug(device, machine, LAYOUT.bytes());
        long whole = Resident.bytes(resident);
        plug(device, machine, BLOCK);
        long little = Resident.bytes(resident);
        plug(device, machine, LAYOUT.bytes() / 2);
        device.setRequested(0);

        assertEquals(EndCause.END_GUEST_POWER_OFF, machine.awaitEnd().cause(), machine::console);
        assertTrue(machine.console().contains("probe: passed"), machine::console);
        assertTrue(whole - before > LAYOUT.bytes() - Resident.NOISE, before + " before, " + whole);
        assertTrue(
            whole - little > LAYOUT.bytes() - BLOCK - Resident.NOISE, whole + ", then " + little);
      }
    }
    Map<String, Long> counters = device.counters();
    assertEquals(LAYOUT.bytes() * 3 / 2 - BLOCK, counters.get("bytes_plugged"));
    assertEquals(LAYOUT.bytes() * 3 / 2 - BLOCK, counters.get("bytes_unplugged"));
    assertTrue(counters.keySet().stream().noneMatch(name -> name.startsWith("errors")));
  }

  private static void plug(MemoryDevice device, TestMachine machine, long bytes) {
    device.setRequested(bytes);
    await(bytes + " bytes plugged and used")
        .atMost(Patience.ofSeconds(60))
        .until(() -> machine.console().contains("memory=%d\n".formatted(bytes)));
  }

  @Test
  void aHostileDriverGetsNothingButItsDue() {
    var device = new MemoryDevice("memory", LAYOUT, 16 * MIB);
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine = machine("memory-hostile", device).build(kernel).start()) {
      assertEquals(EndCause.END_GUEST_POWER_OFF, machine.awaitEnd().cause(), machine::console);
      assertTrue(machine.console().contains("probe: passed"), machine::console);
    }
    Map<String, Long> counters = device.counters();
    assertEquals(9, counters.get("errors_range"));
    assertEquals(1, counters.get("refused_beyond_requested"));
    assertEquals(5, counters.get("errors_state"));
    assertEquals(1, counters.get("errors_unknown"));
    assertEquals(2, counters.get("errors_malformed"));
    assertEquals(2, counters.get("errors_descriptors"));
    assertEquals(16 * MIB, device.gauges().get("plugged_bytes"));
  }
}
