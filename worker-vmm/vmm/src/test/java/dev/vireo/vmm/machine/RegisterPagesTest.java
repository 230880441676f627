package dev.vireo.vmm.machine;

import static dev.vireo.proto.vmm.v1.RegisterPageMode.REGISTER_PAGE_AUTO;
import static dev.vireo.proto.vmm.v1.RegisterPageMode.REGISTER_PAGE_LAZY;
import static dev.vireo.proto.vmm.v1.RegisterPageMode.REGISTER_PAGE_STRICT;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.EventFd;
import dev.vireo.linux.Fd;
import dev.vireo.linux.testing.Patience;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.vmm.v1.RegisterPageMode;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.boot.SpecException;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.block.BlockDevice;
import dev.vireo.vmm.virtio.mmio.LazyInterruptRegisters;
import dev.vireo.vmm.virtio.mmio.MmioTransport;
import dev.vireo.vmm.virtio.mmio.NaiveInterruptRegisters;
import dev.vireo.vmm.virtio.mmio.RegisterAccess;
import dev.vireo.vmm.virtio.mmio.RegisterClass;
import dev.vireo.vmm.virtio.mmio.RegisterPage;
import dev.vireo.vmm.virtio.mmio.TransportInspection;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;

/** How a real guest, the probe of ops/guest/probe, gets at registers and interrupts. */
@Tag("kvm")
final class RegisterPagesTest {
  private static final String PROBE =
      Path.of(System.getProperty("vireo.root"), "ops/guest/probe/build/probe.elf").toString();

  private static final String INTERRUPTS =
      "probe.run=blk-read probe.heed_status=1 probe.ops=" + Patience.repetitions(5000);

  private final TestMachine.Builder builder = TestMachine.with().memoryMib(64);

  private static VirtioDevice disk() {
    return new BlockDevice(
        "blk0",
        new RawFile(Fd.memory("disk", 8 << 20), 8 << 20),
        BlockDevice.Settings.simple(false, line -> {}));
  }

  /** Runs the probe to its end; it says that it passed. */
  private TransportInspection run(RegisterPageMode mode, VirtioDevice device, String arguments) {
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine =
            builder
                .registerPage(mode)
                .devices(device)
                .commandLine(arguments)
                .build(kernel)
                .start()) {
      var _ = machine.awaitEnd();
      assertTrue(machine.console().contains("probe: passed"), machine::console);
      return machine.machine().transports().getFirst().inspect();
    }
  }

  private static long exits(TransportInspection end, RegisterClass register) {
    return end.exits().getOrDefault(register, 0L);
  }

  @ParameterizedTest
  @EnumSource(names = {"REGISTER_PAGE_LAZY", "REGISTER_PAGE_STRICT"})
  void readsDoNotExit(RegisterPageMode mode) {
    TransportInspection end = run(mode, disk(), "probe.run=reg-read probe.ops=1000");
    assertEquals(0, exits(end, RegisterClass.INTERRUPT_STATUS));
    assertEquals(0, end.exitsSinceDriverOk());
  }

  @Test
  void classicReadsExit() {
    TransportInspection end =
        run(RegisterPageMode.REGISTER_PAGE_CLASSIC, disk(), "probe.run=reg-read probe.ops=1000");
    assertEquals(1000, exits(end, RegisterClass.INTERRUPT_STATUS));
  }

  /** Each request waits for its interrupt, as Linux's driver does: a lost one would end it. */
  @ParameterizedTest
  @CsvSource({"1, 1", "0, 1", "1, 8", "0, 8"})
  void lazilyAnInterruptCostsNoExitAndNoneIsLost(int eventIndex, int depth) {
    TransportInspection end =
        run(
            REGISTER_PAGE_LAZY,
            disk(),
            INTERRUPTS + " probe.event_idx=" + eventIndex + " probe.depth=" + depth);
    // The deeper, the more requests each of them tells of.
    long interrupts = end.queues().getFirst().interrupts();
    assertTrue(interrupts > 100 / depth, () -> interrupts + ": not a test of interrupts");
    assertEquals(0, end.exitsSinceDriverOk());
  }

  @ParameterizedTest
  @CsvSource({"1, 1", "0, 1"})
  void strictlyOnlyAcknowledgementsExitAndNoInterruptIsLost(int eventIndex, int depth) {
    TransportInspection end =
        run(
            REGISTER_PAGE_STRICT,
            disk(),
            INTERRUPTS + " probe.event_idx=" + eventIndex + " probe.depth=" + depth);
    assertTrue(exits(end, RegisterClass.INTERRUPT_ACK) > 100, "not a test of interrupts");
    assertEquals(exits(end, RegisterClass.INTERRUPT_ACK), end.exitsSinceDriverOk());
  }

  /** That the tests above would see it. */
  @Test
  void naivelyAnInterruptIsLost() {
    builder.registerPages(
        new RegisterPages(REGISTER_PAGE_LAZY, RegisterAccess.LAZY) {
          @Override
          LazyInterruptRegisters lazyRegisters(
              RegisterPage page, EventFd interrupt, EventFd acknowledgements) {
            return new NaiveInterruptRegisters(page, interrupt, acknowledgements);
          }
        });
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine =
            builder
                .devices(disk())
                .commandLine("probe.run=blk-read probe.ops=0 probe.heed_status=1")
                .build(kernel)
                .start()) {
      var _ = machine.awaitEnd();
      assertTrue(machine.console().contains("lost=1"), machine::console);
    }
  }

  @ParameterizedTest
  @EnumSource(
      mode = Mode.EXCLUDE,
      names = {"UNRECOGNIZED", "REGISTER_PAGE_MODE_UNSPECIFIED"})
  void everyByteIsRight(RegisterPageMode mode) {
    var _ = run(mode, disk(), "probe.run=blk-verify probe.depth=8");
  }

  @ParameterizedTest
  @EnumSource(
      mode = Mode.EXCLUDE,
      names = {"UNRECOGNIZED", "REGISTER_PAGE_MODE_UNSPECIFIED"})
  void aConfigurationIsNeverReadInHalves(RegisterPageMode mode) {
    var _ = run(mode, new PulsingDevice(), "probe.run=config-read probe.ops=50");
  }

  @Test
  void aModeThatThisVmmDoesNotKnowIsRefused() {
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY)) {
      builder.registerPage(RegisterPageMode.UNRECOGNIZED).devices(disk());
      SpecException refused = assertThrows(SpecException.class, () -> builder.build(kernel));
      assertEquals("vmm.register_page", refused.field());
      assertEquals(ErrorReason.FIELD_UNSUPPORTED, refused.reason());
    }
  }

  @Test
  void autoIsLazyWhereKvmHasReadOnlyMemory() {
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine =
            builder.registerPage(REGISTER_PAGE_AUTO).devices(disk()).build(kernel)) {
      MmioTransport transport = machine.machine().transports().getFirst();
      assertEquals(RegisterAccess.LAZY, transport.registerAccess());
    }
  }
}
