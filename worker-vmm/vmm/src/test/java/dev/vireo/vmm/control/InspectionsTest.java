package dev.vireo.vmm.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.catalog.MmioPlan;
import dev.vireo.linux.EventFd;
import dev.vireo.proto.vmm.v1.VmmCompiler;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.virtio.balloon.BalloonDevice;
import dev.vireo.vmm.virtio.mmio.MmioTransport;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class InspectionsTest {
  private static final Path PACKAGING =
      Path.of(System.getProperty("vireo.root", ""), "worker-vmm/vmm/src/packaging/package.sh");

  @ParameterizedTest
  @CsvSource({"lean, VMM_COMPILER_LEAN", "fast, VMM_COMPILER_FAST"})
  void knowsTheCompilersThatArePackaged(String name, VmmCompiler compiler) throws IOException {
    assertEquals(compiler, Inspections.compiler(name));
    assertTrue(Files.readString(PACKAGING).contains("\n-Dvireo.compiler=" + name + "\n"));
  }

  @Test
  void asksADriverOnlyWhereGaugesAreWanted() {
    var balloon = new BalloonDevice("balloon", 8 << 20, Duration.ZERO, false, false);
    var notifiers = Stream.generate(EventFd::blocking).limit(balloon.queueSizes().size()).toList();
    EventFd interrupt = EventFd.nonBlocking();
    var memory = new GuestMemory(List.of());
    try (var transport =
        new MmioTransport(MmioPlan.X86_64.slot(0), balloon, memory, interrupt, notifiers)) {
      assertEquals(8 << 20, Inspections.device(transport, true).getGaugesOrThrow("target_bytes"));
      assertEquals(Map.of(), Inspections.device(transport, false).getGaugesMap());
    } finally {
      interrupt.close();
      notifiers.forEach(EventFd::close);
    }
  }

  @ParameterizedTest
  @CsvSource({"''", "C2"})
  void ofAnyOtherItSaysNothing(String name) {
    assertEquals(VmmCompiler.VMM_COMPILER_UNSPECIFIED, Inspections.compiler(name));
  }
}
