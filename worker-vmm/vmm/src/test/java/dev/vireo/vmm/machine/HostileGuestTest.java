package dev.vireo.vmm.machine;

import static java.util.stream.Collectors.toSet;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.Fd;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.virtio.block.BlockDevice;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * A driver that breaks one rule (the probe's {@code hostile-…}): the guest runs to its end, sees
 * the reaction that it must, its other disk goes on working and a reset brings the first one back.
 */
@Tag("kvm")
final class HostileGuestTest {
  private static final String PROBE =
      Path.of(System.getProperty("vireo.root"), "ops/guest/probe/build/probe.elf").toString();
  private static final long DISK_BYTES = 1 << 20;

  /** The attacks of the probe, and what each is counted as. */
  enum Attack {
    STATUS_STEP_LEFT_OUT("illegal.status_step"),
    STATUS_BIT_TAKEN_BACK("illegal.status_step"),
    FEATURES_NOT_OFFERED("illegal.features_refused"),
    FEATURES_OF_A_LEGACY_DRIVER("illegal.features_refused"),
    FEATURES_CHANGED_WHEN_FROZEN("illegal.features_frozen"),
    QUEUE_SIZE_OF_ZERO("illegal.queue_size"),
    QUEUE_SIZE_NO_POWER_OF_TWO("illegal.queue_size"),
    QUEUE_SIZE_ABOVE_THE_MAXIMUM("illegal.queue_size"),
    QUEUE_SIZE_THAT_FITS_TRUNCATED("illegal.queue_size"),
    QUEUE_THAT_DOES_NOT_EXIST("illegal.queue_select"),
    QUEUE_MOVED_WHILE_READY("illegal.queue_frozen"),
    QUEUE_MOVED_WHILE_LIVE("illegal.queue_frozen"),
    QUEUE_READY_BY_TWO("illegal.queue_ready"),
    REGISTERS_BY_OTHER_WIDTHS("illegal.access_width"),
    REGISTERS_THAT_DO_NOT_EXIST("illegal.no_such_register"),
    CONFIGURATION_WRITTEN("illegal.config_read_only"),
    CONFIGURATION_BEYOND_ITS_END("illegal.config_read_only"),
    /** KVM takes the notification; its request is served later. */
    NOTIFICATION_TOO_EARLY("requests_read"),
    NOTIFICATION_OF_NO_QUEUE("illegal.notification"),
    /** Nothing is wrong with it. */
    ACKNOWLEDGEMENT_OF_EVERYTHING("requests_read"),
    RING_MISALIGNED("illegal.activation"),
    RING_IN_A_HOLE("illegal.activation"),
    RING_ON_REGISTERS("illegal.activation"),
    RING_OVER_THE_END_OF_MEMORY("illegal.activation"),
    RING_OVER_THE_END_OF_ADDRESSES("illegal.activation"),
    HEAD_OUT_OF_RANGE("illegal.ring"),
    NEXT_OUT_OF_RANGE("illegal.ring"),
    CHAIN_THAT_LOOPS("illegal.ring"),
    CHAIN_LONGER_THAN_THE_QUEUE("illegal.ring"),
    INDIRECT_NOT_NEGOTIATED("illegal.ring"),
    INDIRECT_NESTED("illegal.ring"),
    INDIRECT_CONTINUED("illegal.ring"),
    INDIRECT_OF_NO_BYTES("illegal.ring"),
    INDIRECT_OF_PART_OF_A_DESCRIPTOR("illegal.ring"),
    INDIRECT_OVER_THE_END_OF_MEMORY("illegal.ring"),
    AVAILABLE_INDEX_THAT_JUMPS("illegal.ring"),
    AVAILABLE_INDEX_THAT_GOES_BACK("illegal.ring"),
    BUFFER_OF_NO_BYTES("errors_descriptors"),
    BUFFER_IN_A_HOLE("errors_descriptors"),
    BUFFER_ON_REGISTERS("errors_descriptors"),
    BUFFER_OVER_THE_END_OF_MEMORY("errors_descriptors"),
    BUFFER_OVER_THE_END_OF_ADDRESSES("errors_descriptors"),
    BUFFERS_OF_TOO_MANY_BYTES("errors_descriptors"),
    /** Legal, and the guest's own loss. */
    BUFFER_IN_ITS_OWN_RING("requests_read"),
    BUFFER_READABLE_AFTER_WRITABLE("errors_descriptors"),
    REQUEST_WITHOUT_A_STATUS("errors_malformed"),
    REQUEST_WITH_A_SHORT_HEADER("errors_malformed"),
    REQUEST_FOR_PART_OF_A_SECTOR("errors_malformed"),
    REQUEST_BEYOND_THE_END("errors_out_of_range"),
    REQUEST_FOR_AN_ID_WITHOUT_ROOM("errors_malformed"),
    REQUEST_OF_UNKNOWN_TYPE("requests_unsupported");

    private final String counter;

    Attack(String counter) {
      this.counter = counter;
    }

    String program() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  @ParameterizedTest
  @EnumSource
  void hurtsNobodyElse(Attack attack) {
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine = attackedBy(attack.program(), kernel)) {
      assertPassed(machine);
      Map<String, Long> counters = machine.machine().transports().getFirst().inspect().counters();
      assertTrue(counters.getOrDefault(attack.counter, 0L) > 0, counters::toString);
    }
  }

  @Test
  void hurtsNobodyElseByAllOfThemInTurn() {
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine = attackedBy("all", kernel)) {
      assertPassed(machine);
      Set<String> tried =
          machine
              .console()
              .lines()
              .filter(line -> line.startsWith("attack="))
              .map(line -> line.substring("attack=".length()).strip())
              .collect(toSet());
      assertEquals(Arrays.stream(Attack.values()).map(Attack::program).collect(toSet()), tried);
    }
  }

  private static TestMachine attackedBy(String program, Fd kernel) {
    return TestMachine.with()
        .memoryMib(64)
        .commandLine("probe.run=hostile-" + program)
        .devices(disk("victim"), disk("bystander"))
        .build(kernel)
        .start();
  }

  private static BlockDevice disk(String id) {
    return new BlockDevice(
        id,
        new RawFile(Fd.memory(id, DISK_BYTES), DISK_BYTES),
        BlockDevice.Settings.simple(false, line -> {}));
  }

  private static void assertPassed(TestMachine machine) {
    assertEquals(EndCause.END_GUEST_POWER_OFF, machine.awaitEnd().cause(), machine::console);
    assertTrue(machine.console().contains("probe: passed"), machine::console);
  }
}
