package dev.vireo.vmm.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.Fd;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.vmm.backend.HostRandom;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.virtio.block.BlockDevice;
import dev.vireo.vmm.virtio.rng.EntropyDevice;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The probe of ops/guest/probe, a real bare-metal kernel, on this machine. */
@Tag("kvm")
final class ProbeGuestTest {
  private static final String PROBE =
      Path.of(System.getProperty("vireo.root"), "ops/guest/probe/build/probe.elf").toString();

  @Test
  void saysHelloAndPowersOff() {
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine =
            TestMachine.with().memoryMib(64).commandLine("probe.run=hello").build(kernel).start()) {
      assertEquals(EndCause.END_GUEST_POWER_OFF, machine.awaitEnd().cause(), machine::console);
      assertTrue(machine.console().contains("probe: passed"), machine::console);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {16, 4096, 1 << 20})
  void readsRandomNumbers(int block) {
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine =
            TestMachine.with()
                .memoryMib(64)
                .commandLine("probe.run=rng-read probe.ops=64 probe.block=" + block)
                .devices(new EntropyDevice("entropy", new HostRandom(), RateLimiter.UNLIMITED))
                .build(kernel)
                .start()) {
      assertEquals(EndCause.END_GUEST_POWER_OFF, machine.awaitEnd().cause(), machine::console);
      assertTrue(machine.console().contains("probe: passed"), machine::console);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "probe.run=blk-verify probe.depth=8",
        "probe.run=blk-verify probe.depth=128 probe.ops=1000",
        "probe.run=blk-verify probe.depth=128 probe.ops=1000 probe.event_idx=0",
        "probe.run=blk-verify probe.depth=85 probe.ops=1000 probe.indirect=0",
        "probe.run=blk-verify probe.depth=128 probe.ops=1000 probe.queues=4",
        "probe.run=blk-write probe.depth=128",
        "probe.run=blk-ranges",
      })
  void readsAndWritesItsDisk(String program) {
    runsWithADisk(program, BlockDevice.Engine.THREAD);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "probe.run=blk-verify probe.depth=128 probe.ops=1000",
        "probe.run=blk-verify probe.depth=128 probe.ops=1000 probe.event_idx=0 probe.queues=4",
        "probe.run=blk-ranges",
      })
  void readsAndWritesItsDiskByIoUring(String program) {
    runsWithADisk(program, BlockDevice.Engine.IO_URING);
  }

  private static void runsWithADisk(String program, BlockDevice.Engine engine) {
    BlockDevice.Settings settings =
        new BlockDevice.Settings(false, 4, RateLimiter.UNLIMITED, engine, line -> {});
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine =
            TestMachine.with()
                .memoryMib(64)
                .commandLine(program)
                .devices(
                    new BlockDevice(
                        "blk0", new RawFile(Fd.memory("disk", 8 << 20), 8 << 20), settings))
                .build(kernel)
                .start()) {
      assertEquals(EndCause.END_GUEST_POWER_OFF, machine.awaitEnd().cause(), machine::console);
      assertTrue(machine.console().contains("probe: passed"), machine::console);
    }
  }
}
