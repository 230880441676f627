package dev.vireo.vmm.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.Fd;
import dev.vireo.linux.testing.Patience;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.proto.vmm.v1.RegisterPageMode;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.boot.SpecException;
import dev.vireo.vmm.virtio.block.BlockDevice;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The machine on a real KVM, with guests of a few instructions. */
@Tag("kvm")
final class X86MachineTest {
  private static final long DEVICE = 0xd000_0000L;
  private static final long BEYOND_DEVICES = 0xd800_0000L;

  private static TestMachine.Ended run(GuestCode code, TestMachine.Builder builder) {
    try (Fd kernel = code.kernel();
        TestMachine machine = builder.build(kernel).start()) {
      return machine.awaitEnd();
    }
  }

  private static BlockDevice disk() {
    return new BlockDevice(
        "disk",
        new RawFile(Fd.memory("disk", 1 << 20), 1 << 20),
        BlockDevice.Settings.simple(false, line -> {}));
  }

  @Test
  void printsAndPowersOff() {
    try (Fd kernel = new GuestCode().print("hi").powerOff().kernel();
        TestMachine machine = TestMachine.with().build(kernel).start()) {
      assertEquals(EndCause.END_GUEST_POWER_OFF, machine.awaitEnd().cause());
      assertEquals("hi", machine.console());
      assertEquals(Map.of("pio.serial", 2L, "pio.power", 1L), machine.machine().exits());
      assertEquals(3L, machine.machine().exitsByVcpu().getFirst());
      assertTrue(machine.machine().firstExitNanos() > machine.machine().firstRunNanos());
    }
  }

  @Test
  void resetByKeyboardController() {
    assertEquals(
        EndCause.END_GUEST_RESET,
        run(new GuestCode().out(0x64, 1, 0xfe).sleep(), TestMachine.with()).cause());
  }

  @Test
  void resetByTheAcpiRegister() {
    assertEquals(
        EndCause.END_GUEST_RESET,
        run(new GuestCode().out(0xcf9, 1, 6).sleep(), TestMachine.with()).cause());
  }

  @Test
  void aTripleFaultIsAReset() {
    TestMachine.Ended ended = run(new GuestCode().tripleFault(), TestMachine.with());
    assertEquals(EndCause.END_GUEST_RESET, ended.cause());
    assertEquals("triple fault", ended.message());
  }

  @Test
  void whatIsNotThereReadsAsOnes() {
    GuestCode code = new GuestCode();
    code.in(0x64, 1).printAl().in(0x1234, 1).printAl().load(BEYOND_DEVICES, 1).printAl();
    try (Fd kernel = code.powerOff().kernel();
        TestMachine machine = TestMachine.with().devices(disk()).build(kernel).start()) {
      machine.awaitEnd();
      assertEquals("\u00ff\u00ff\u00ff", machine.console());
      Map<String, Long> exits = machine.machine().exits();
      assertEquals(1, exits.get("pio.i8042"));
      assertEquals(1, exits.get("pio.unassigned"));
      assertEquals(1, exits.get("mmio.unassigned"));
    }
  }

  @Test
  void aDeviceAnswersInItsSlot() {
    try (Fd kernel = new GuestCode().load(DEVICE, 4).printAl().powerOff().kernel();
        TestMachine machine =
            TestMachine.with()
                .registerPage(RegisterPageMode.REGISTER_PAGE_CLASSIC)
                .devices(disk())
                .build(kernel)
                .start()) {
      machine.awaitEnd();
      assertEquals("v", machine.console(), "the magic is 'virt'");
      assertEquals(1, machine.machine().exits().get("mmio.disk.other"));
    }
  }

  /** Notifications go to the device without an exit, whatever state it is in. */
  @Test
  void notificationsDoNotExit() {
    GuestCode code = new GuestCode();
    for (int i = 0; i < 100; i++) {
      code.store(DEVICE + 0x50, 4, 0);
    }
    try (Fd kernel = code.powerOff().kernel();
        TestMachine machine = TestMachine.with().devices(disk()).build(kernel).start()) {
      machine.awaitEnd();
      assertEquals(Map.of("pio.power", 1L), machine.machine().exits());
    }
  }

  @Test
  void theClockAnswers() {
    GuestCode code = new GuestCode().out(0x70, 1, 0x32).in(0x71, 1).printAl();
    try (Fd kernel = code.powerOff().kernel();
        TestMachine machine = TestMachine.with().build(kernel).start()) {
      machine.awaitEnd();
      assertEquals(" ", machine.console(), "the century is 0x20");
    }
  }

  /** Any access of any width to any place: nothing but the guest is worse off. */
  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void aHostileGuestOnlyHurtsItself(long seed) {
    Random random = new Random(seed);
    GuestCode code = new GuestCode();
    for (int i = 0; i < 1500; i++) {
      int width = 1 << random.nextInt(3);
      int value = random.nextInt();
      switch (random.nextInt(4)) {
        case 0 -> code.in(harmlessPort(random), width);
        case 1 -> code.out(harmlessPort(random), width, value);
        case 2 -> code.load(anyAddress(random), width);
        default -> code.store(anyAddress(random), width, value);
      }
    }
    code.out(0x3fb, 1, 3).out(0x3fc, 1, 0); // whatever state the serial port is in by now
    try (Fd kernel = code.print("done").powerOff().kernel();
        TestMachine machine = TestMachine.with().devices(disk(), disk()).build(kernel).start()) {
      assertEquals(EndCause.END_GUEST_POWER_OFF, machine.awaitEnd().cause());
      assertTrue(machine.console().endsWith("done"), machine::console);
    }
  }

  /** Not those that end the machine, nor those that KVM serves itself. */
  private static int harmlessPort(Random random) {
    int[] interesting = {0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fd, 0x3fe, 0x3ff, 0x60, 0x70, 0x71, 0x600};
    int[] more = {0x601, 0x80, 0xcf8, 0xcfc, 0xfffc, 0x5ff, 0x3f7};
    int pick = random.nextInt(interesting.length + more.length + 4);
    if (pick < interesting.length) {
      return interesting[pick];
    }
    pick -= interesting.length;
    return pick < more.length ? more[pick] : 0x1000 + random.nextInt(0xe000);
  }

  private static long anyAddress(Random random) {
    return switch (random.nextInt(4)) {
      case 0 -> DEVICE + random.nextInt(0x2000);
      case 1 -> DEVICE + 4L * random.nextInt(0x50);
      case 2 -> 0xc000_0000L + random.nextInt(0x1000_0000);
      default -> DEVICE + 0x1f00 + random.nextInt(0x400);
    };
  }

  @Test
  void aSleepingGuestCanBeStopped() {
    try (Fd kernel = new GuestCode().print(".").sleep().kernel();
        TestMachine machine = TestMachine.with().build(kernel).start()) {
      machine.awaitReady();
      machine.machine().stop("enough");
      assertEquals(
          new TestMachine.Ended(EndCause.END_STOPPED_BY_REQUEST, "enough"), machine.awaitEnd());
    }
  }

  @Test
  void stoppingBeforeTheFirstInstructionIsNotLost() {
    for (int i = 0; i < 50; i++) {
      try (Fd kernel = new GuestCode().spin().kernel();
          TestMachine machine = TestMachine.with().vcpus(2).build(kernel).start()) {
        machine.machine().stop("early");
        assertEquals("early", machine.awaitEnd().message());
      }
    }
  }

  /** A lost kick would leave a vCPU in the guest, and pause would never return. */
  @Test
  void noKickIsLostInThousands() throws InterruptedException {
    try (Fd spinning = new GuestCode().print(".").spin().kernel();
        Fd exiting = new GuestCode().print(".").outForEver(0x80).kernel();
        Fd sleeping = new GuestCode().print(".").sleep().kernel()) {
      for (Fd kernel : new Fd[] {spinning, exiting, sleeping}) {
        try (TestMachine machine = TestMachine.with().vcpus(4).build(kernel).start()) {
          machine.awaitReady();
          for (int i = 0; i < Patience.repetitions(2000); i++) {
            machine.machine().pause();
            machine.machine().resume();
          }
        }
      }
    }
  }

  @Test
  void aPausedGuestDoesNothing() throws InterruptedException {
    try (Fd kernel = new GuestCode().print(".").outForEver(0x80).kernel();
        TestMachine machine = TestMachine.with().build(kernel).start()) {
      machine.awaitReady();
      for (int i = 0; i < 100; i++) {
        machine.machine().pause();
        long before = machine.machine().exitsByVcpu().getFirst();
        Thread.onSpinWait();
        assertEquals(before, machine.machine().exitsByVcpu().getFirst());
        machine.machine().resume();
      }
    }
  }

  @Test
  void pausingOrAskingAMachineThatHasEndedIsHarmless() throws InterruptedException {
    try (Fd kernel = new GuestCode().powerOff().kernel();
        TestMachine machine = TestMachine.with().build(kernel).start()) {
      machine.awaitEnd();
      machine.machine().pause();
      machine.machine().resume();
      machine.machine().pressPowerButton();
      machine.machine().close();
      machine.machine().pressPowerButton();
    }
  }

  @Test
  void theOtherVcpusEndWithTheFirst() {
    TestMachine.Ended ended =
        run(new GuestCode().print("x").powerOff(), TestMachine.with().vcpus(8));
    assertEquals(EndCause.END_GUEST_POWER_OFF, ended.cause());
  }

  @Test
  void memoryGoesOnAboveFourGib() {
    // 3 GiB below the devices; a guest without paging cannot see the rest, KVM must still take it.
    GuestCode code = new GuestCode().store(0xbfff_fffcL, 4, 'm').load(0xbfff_fffcL, 1).printAl();
    try (Fd kernel = code.powerOff().kernel();
        TestMachine machine = TestMachine.with().memoryMib(5 << 10).build(kernel).start()) {
      machine.awaitEnd();
      assertEquals("m", machine.console());
    }
  }

  private static SpecException refused(TestMachine.Builder builder) {
    try (Fd kernel = new GuestCode().powerOff().kernel()) {
      return assertThrows(
          SpecException.class,
          () -> {
            try (TestMachine machine = builder.build(kernel)) {
              machine.hasEnded();
            }
          });
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 254, 10_000, -1})
  void tooFewOrTooManyVcpus(int vcpus) {
    SpecException e = refused(TestMachine.with().vcpus(vcpus));
    assertEquals(ErrorReason.FIELD_INVALID, e.reason());
    assertEquals("vcpus", e.field());
  }

  @Test
  void memoryThatNobodyHas() {
    SpecException e = refused(TestMachine.with().memoryMib(1L << 40));
    assertEquals(ErrorReason.NODE_RESOURCES_EXHAUSTED, e.reason());
    assertEquals("memory_mib", e.field());
    assertEquals(ErrorReason.FIELD_INVALID, refused(TestMachine.with().memoryMib(0)).reason());
  }

  @Test
  void announcementsCountForTheCommandLinesLength() {
    assertEquals(
        ErrorReason.COMMAND_LINE_TOO_LONG,
        refused(TestMachine.with().commandLine("x".repeat(2040)).devices(disk())).reason());
  }

  @Test
  void tooManyDevices() {
    BlockDevice[] many = new BlockDevice[20];
    for (int i = 0; i < many.length; i++) {
      many[i] = disk();
    }
    assertEquals(ErrorReason.FIELD_INVALID, refused(TestMachine.with().devices(many)).reason());
  }

  /** Neither a refused machine nor one that lived leaves a descriptor, mapping or thread. */
  @Test
  void nothingIsLeftBehind() throws Exception {
    GuestCode code = new GuestCode().powerOff();
    run(code, TestMachine.with().devices(disk()));
    long descriptors = count("/proc/self/fd");
    long threads = count("/proc/self/task");
    for (int i = 0; i < 50; i++) {
      run(code, TestMachine.with().vcpus(2).devices(disk()));
      refused(TestMachine.with().memoryMib(1).devices(disk()));
      refused(TestMachine.with().vcpus(0).devices(disk()));
    }
    assertEquals(descriptors, count("/proc/self/fd"));
    assertTrue(count("/proc/self/task") <= threads + 2, "threads");
  }

  private static long count(String directory) throws Exception {
    try (var entries = Files.list(Path.of(directory))) {
      return entries.count();
    }
  }
}
