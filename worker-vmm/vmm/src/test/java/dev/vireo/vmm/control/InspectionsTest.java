package dev.vireo.vmm.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.catalog.MmioPlan;
import dev.vireo.linux.EventFd;
import dev.vireo.linux.Fd;
import dev.vireo.proto.vmm.v1.DeviceCounters;
import dev.vireo.proto.vmm.v1.VmmCompiler;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.balloon.BalloonDevice;
import dev.vireo.vmm.virtio.block.BlockDevice;
import dev.vireo.vmm.virtio.mmio.MmioTransport;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
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
  void asksADriverOnlyWhereMoreThanCountersIsWanted() {
    check(
        new BalloonDevice("balloon", 8 << 20, Duration.ZERO, false, false),
        transport -> {
          DeviceCounters all = Inspections.device(transport, false);
          assertEquals(8 << 20, all.getGaugesOrThrow("target_bytes"));
          assertEquals(Map.of(), Inspections.device(transport, true).getGaugesMap());
        });
  }

  @Test
  void tellsOfTheHostOnlyWhereMoreThanCountersIsWanted() {
    RawFile file = new RawFile(Fd.memory("disk", 4096), 4096);
    BlockDevice disk =
        new BlockDevice("disk", file, BlockDevice.Settings.simple(false, line -> {}));
    check(
        disk,
        transport -> {
          DeviceCounters all = Inspections.device(transport, false);
          assertEquals("yes", all.getAttributesOrThrow("page_cache"));
          assertEquals(Map.of(), Inspections.device(transport, true).getAttributesMap());
        });
  }

  private static void check(VirtioDevice device, Consumer<MmioTransport> checks) {
    var notifiers = Stream.generate(EventFd::blocking).limit(device.queueSizes().size()).toList();
    EventFd interrupt = EventFd.nonBlocking();
    var memory = new GuestMemory(List.of());
    try (var transport =
        new MmioTransport(MmioPlan.X86_64.slot(0), device, memory, interrupt, notifiers)) {
      checks.accept(transport);
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
