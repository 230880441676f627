package dev.vireo.vmm.virtio.balloon;

import static dev.vireo.vmm.virtio.queue.GuestRing.BUFFERS;
import static dev.vireo.vmm.virtio.queue.GuestRing.HIGH_RAM;
import static dev.vireo.vmm.virtio.queue.GuestRing.HIGH_RAM_END;
import static dev.vireo.vmm.virtio.queue.GuestRing.NEXT;
import static dev.vireo.vmm.virtio.queue.GuestRing.RAM_END;
import static dev.vireo.vmm.virtio.queue.GuestRing.WRITE;
import static java.time.Duration.ofMillis;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.catalog.MmioPlan;
import dev.vireo.linux.EventFd;
import dev.vireo.vmm.memory.Backing;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.GuestMemory.Region;
import dev.vireo.vmm.trace.TraceFilter;
import dev.vireo.vmm.trace.TraceRecord;
import dev.vireo.vmm.trace.TraceRing;
import dev.vireo.vmm.virtio.DeviceStatus;
import dev.vireo.vmm.virtio.mmio.GuestDriver;
import dev.vireo.vmm.virtio.mmio.MmioTransport;
import dev.vireo.vmm.virtio.mmio.Register;
import dev.vireo.vmm.virtio.queue.GuestRing;
import dev.vireo.vmm.virtio.queue.Interloper;
import dev.vireo.vmm.virtio.queue.TracedRequest;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A whole balloon, from a guest's registers and rings to the host's memory. */
@Timeout(30)
class BalloonDeviceTest {
  private static final int INFLATE = 0;
  private static final int DEFLATE = 1;
  private static final int STATISTICS = 2;
  private static final int LINUX_REPORTING = 3;
  private static final int REPORTING = 4;

  /** A bit of InterruptStatus (4.2.2). */
  private static final int CONFIGURATION_CHANGE = 2;

  private static final int NUM_PAGES = Register.CONFIG;
  private static final int ACTUAL = Register.CONFIG + 4;
  private static final int POISON = Register.CONFIG + 12;
  private static final long PAGE = GuestMemory.PAGE_BYTES;

  /** Where no ring, no list and no statistics are. */
  private static final long PAGES = 0x8_0000;

  private static final byte USED_BY_GUEST = 0x77;

  private final List<GuestRing> rings = new ArrayList<>();
  private final List<EventFd> notifiers =
      IntStream.range(0, 5).mapToObj(queue -> EventFd.blocking()).toList();
  private final EventFd interrupt = EventFd.nonBlocking();
  private GuestMemory memory;
  private BalloonDevice device = new BalloonDevice("balloon", 0, Duration.ZERO, true, true);
  private MmioTransport transport;
  private GuestDriver driver;

  BalloonDeviceTest() {
    rings.add(new GuestRing(64));
    memory = rings.getFirst().memory();
    for (long base : new long[] {0x8000, 0x3_0000, 0x4_0000, 0x5_0000}) {
      rings.add(new GuestRing(memory, 64, base));
    }
    connect();
    initialize(0, 1, 2, 4);
  }

  private void connect() {
    transport = new MmioTransport(MmioPlan.X86_64.slot(0), device, memory, interrupt, notifiers);
    driver = new GuestDriver(transport, rings.getFirst());
  }

  /** Another one in its place. */
  private void replace(BalloonDevice other) {
    transport.close();
    device = other;
    connect();
  }

  private void initialize(int... queues) {
    initialize(device.features(), queues);
  }

  private void initialize(long features, int... queues) {
    driver.negotiate(features);
    for (int queue : queues) {
      rings.get(queue).clear();
      driver.setUpQueue(queue, rings.get(queue).setup());
    }
    driver.ready();
    assertTrue(DeviceStatus.has(driver.status(), DeviceStatus.DRIVER_OK));
  }

  @AfterEach
  void close() {
    transport.close();
    notifiers.forEach(EventFd::close);
    interrupt.close();
  }

  private GuestRing.Used submit(int queue, int head) {
    rings.get(queue).offer(head);
    notifiers.get(queue).signal();
    return used(queue);
  }

  private GuestRing.Used used(int queue) {
    await().pollDelay(Duration.ZERO).pollInterval(ofMillis(1)).until(rings.get(queue)::hasUsed);
    return rings.get(queue).takeUsed();
  }

  /** A request that names these pages, by guest physical address. */
  private void name(int queue, long... addresses) {
    for (int i = 0; i < addresses.length; i++) {
      memory.putInt(BUFFERS + 4L * i, (int) (addresses[i] >>> 12));
    }
    rings.get(queue).descriptor(0, BUFFERS, 4L * addresses.length, 0, 0);
    assertEquals(new GuestRing.Used(0, 0), submit(queue, 0));
  }

  private void touch(long address) {
    memory.putByte(address, USED_BY_GUEST);
  }

  private boolean isUntouched(long address) {
    return memory.getByte(address) == 0;
  }

  private long count(BalloonEvent event) {
    return device.counters().getOrDefault(event.name().toLowerCase(java.util.Locale.ROOT), 0L);
  }

  private long illegal(String use) {
    return transport.inspect().counters().getOrDefault("illegal." + use, 0L);
  }

  // Configuration

  @Test
  void isFoundByItsNumberAndOffersWhatItServes() {
    assertEquals(5, driver.read(Register.DEVICE_ID));
    assertEquals(
        BalloonFeature.STATS_VQ
            | BalloonFeature.DEFLATE_ON_OOM
            | BalloonFeature.PAGE_POISON
            | BalloonFeature.PAGE_REPORTING,
        driver.deviceFeatures() & 0xff);
    replace(new BalloonDevice("balloon", 0, Duration.ZERO, false, false));
    assertEquals(BalloonFeature.STATS_VQ, driver.deviceFeatures() & 0xff);
  }

  @Test
  void aTargetIsThereFromTheBeginning() {
    replace(new BalloonDevice("balloon", 64 << 20, Duration.ZERO, false, false));
    assertEquals(16_384, driver.read(NUM_PAGES));
    assertEquals(64 << 20, device.targetBytes());
  }

  @Test
  void aTargetThatChangesIsToldOfByAConfigurationInterrupt() {
    driver.takeInterrupt();
    int generation = driver.read(Register.CONFIG_GENERATION);
    device.setTarget(256 << 20);
    assertEquals(65_536, driver.read(NUM_PAGES));
    assertTrue(generation != driver.read(Register.CONFIG_GENERATION));
    assertEquals(CONFIGURATION_CHANGE, driver.takeInterrupt());
    device.setTarget(0);
    assertEquals(0, driver.read(NUM_PAGES));
    assertEquals(CONFIGURATION_CHANGE, driver.takeInterrupt());
  }

  @Test
  void aTargetThatChangesWhileThereIsNoDriverIsThereForTheNext() {
    driver.reset();
    device.setTarget(4 << 20);
    initialize(0, 1, 2);
    assertEquals(1_024, driver.read(NUM_PAGES));
  }

  @Test
  void theDriversSizeIsItsOwnAndTheTargetIsNot() {
    driver.write(ACTUAL, 512);
    driver.write(NUM_PAGES, 99);
    assertEquals(512, driver.read(ACTUAL));
    assertEquals(0, driver.read(NUM_PAGES));
    assertEquals(1, illegal("config_read_only"));
    assertEquals(2L << 20, device.gauges().get("actual_bytes"));
    driver.reset();
    assertEquals(0L, device.gauges().get("actual_bytes"));
  }

  @Test
  void nobodyWritesAPoisonThatIsNotOffered() {
    replace(new BalloonDevice("balloon", 0, Duration.ZERO, false, false));
    initialize(0, 1);
    driver.write(POISON, 0xaaaa_aaaa);
    assertEquals(0, driver.read(POISON));
    assertEquals(1, illegal("config_read_only"));
  }

  // Pages

  @Test
  void aPageInTheBalloonIsGivenBackAndReadsAsZeroes() {
    touch(PAGES);
    touch(PAGES + PAGE - 1);
    touch(PAGES + PAGE);
    name(INFLATE, PAGES);
    assertTrue(isUntouched(PAGES) && isUntouched(PAGES + PAGE - 1));
    assertFalse(isUntouched(PAGES + PAGE), "its neighbour was not named");
    assertEquals(1, count(BalloonEvent.PAGES_INFLATED));
    name(DEFLATE, PAGES);
    assertEquals(1, count(BalloonEvent.PAGES_DEFLATED));
    assertTrue(isUntouched(PAGES));
    touch(PAGES);
    assertFalse(isUntouched(PAGES), "it is memory again");
  }

  @Test
  void pagesSideBySideAreGivenBackByOneCallWhateverTheirOrder() {
    name(INFLATE, PAGES + 2 * PAGE, PAGES, PAGES + 3 * PAGE, PAGES + PAGE, PAGES + 8 * PAGE);
    assertEquals(5, count(BalloonEvent.PAGES_INFLATED));
    assertEquals(2, count(BalloonEvent.DISCARDS));
  }

  @Test
  void theLastPageBeforeAHoleIsNotJoinedWithWhatComesAfterIt() {
    touch(RAM_END - PAGE);
    touch(HIGH_RAM);
    touch(HIGH_RAM_END - PAGE);
    name(INFLATE, RAM_END - PAGE, RAM_END, HIGH_RAM - PAGE, HIGH_RAM, HIGH_RAM_END - PAGE);
    assertTrue(isUntouched(RAM_END - PAGE));
    assertTrue(isUntouched(HIGH_RAM));
    assertTrue(isUntouched(HIGH_RAM_END - PAGE));
    assertEquals(3, count(BalloonEvent.PAGES_INFLATED));
    assertEquals(2, count(BalloonEvent.ERRORS_OUTSIDE_MEMORY));
  }

  @Test
  void pagesOutsideMemoryAreCountedAndTheOthersServed() {
    touch(PAGES);
    name(INFLATE, 0xffff_ffffL << 12, HIGH_RAM_END, PAGES, MmioPlan.X86_64.slot(0).base());
    assertTrue(isUntouched(PAGES));
    assertEquals(3, count(BalloonEvent.ERRORS_OUTSIDE_MEMORY));
    assertEquals(1, count(BalloonEvent.PAGES_INFLATED));
    name(DEFLATE, 0xffff_ffffL << 12, PAGES);
    assertEquals(4, count(BalloonEvent.ERRORS_OUTSIDE_MEMORY));
    assertEquals(1, count(BalloonEvent.PAGES_DEFLATED));
  }

  @Test
  void aPageNamedTwiceCountsOnce() {
    name(INFLATE, PAGES, PAGES, PAGES + PAGE, PAGES);
    assertEquals(2, count(BalloonEvent.PAGES_INFLATED));
    assertEquals(2, count(BalloonEvent.PAGES_REPEATED));
    assertEquals(1, count(BalloonEvent.DISCARDS));
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 3, 5, 4095})
  void aListOfOddLengthIsRefused(long bytes) {
    touch(PAGES);
    memory.putInt(BUFFERS, (int) (PAGES >>> 12));
    rings.get(INFLATE).descriptor(0, BUFFERS, bytes, 0, 0);
    assertEquals(new GuestRing.Used(0, 0), submit(INFLATE, 0));
    assertEquals(1, count(BalloonEvent.ERRORS_MALFORMED));
    assertFalse(isUntouched(PAGES));
  }

  @Test
  void aListThatTheDeviceMayWriteIsRefused() {
    touch(PAGES);
    memory.putInt(BUFFERS, (int) (PAGES >>> 12));
    rings.get(INFLATE).descriptor(0, BUFFERS, 4, WRITE, 0);
    assertEquals(new GuestRing.Used(0, 0), submit(INFLATE, 0));
    rings.get(INFLATE).descriptor(0, BUFFERS, 4, NEXT, 1).descriptor(1, BUFFERS, 4, WRITE, 0);
    assertEquals(new GuestRing.Used(0, 0), submit(INFLATE, 0));
    assertEquals(2, count(BalloonEvent.ERRORS_MALFORMED));
    assertFalse(isUntouched(PAGES));
  }

  @Test
  void aListThatIsNowhereIsReturned() {
    rings.get(INFLATE).descriptor(0, RAM_END - 4, 8, 0, 0);
    assertEquals(new GuestRing.Used(0, 0), submit(INFLATE, 0));
    rings.get(INFLATE).descriptor(0, BUFFERS, 0, 0, 0);
    assertEquals(new GuestRing.Used(0, 0), submit(INFLATE, 0));
    assertEquals(2, count(BalloonEvent.ERRORS_DESCRIPTORS));
  }

  @Test
  void aListIsReadWhereverTheDriverCutIt() {
    touch(PAGES);
    memory.putShort(BUFFERS + 100, (short) (PAGES >>> 12));
    memory.putShort(HIGH_RAM, (short) (PAGES >>> 28));
    rings.get(INFLATE).descriptor(0, BUFFERS + 100, 2, NEXT, 1).descriptor(1, HIGH_RAM, 2, 0, 0);
    assertEquals(new GuestRing.Used(0, 0), submit(INFLATE, 0));
    assertTrue(isUntouched(PAGES));
  }

  @Test
  void anOversizedListIsServedInPart() {
    long entries = PageList.MAX_PAGES + 1;
    for (long i = 0; i < entries; i++) {
      memory.putInt(PAGES + 4 * i, (int) (HIGH_RAM >>> 12));
    }
    memory.putInt(PAGES + 4 * (entries - 1), (int) ((HIGH_RAM + PAGE) >>> 12));
    touch(HIGH_RAM);
    touch(HIGH_RAM + PAGE);
    rings.get(INFLATE).descriptor(0, PAGES, 4 * entries, 0, 0);
    assertEquals(new GuestRing.Used(0, 0), submit(INFLATE, 0));
    assertTrue(isUntouched(HIGH_RAM));
    assertFalse(isUntouched(HIGH_RAM + PAGE));
    assertEquals(1, count(BalloonEvent.ERRORS_OVERSIZED));
  }

  @Test
  void aGuestThatPutsItsRingIntoTheBalloonHurtsItselfAlone() {
    name(DEFLATE, PAGES);
    memory.putInt(BUFFERS, (int) (rings.get(DEFLATE).setup().availableRing() >>> 12));
    memory.putInt(BUFFERS + 4, (int) (rings.get(DEFLATE).setup().usedRing() >>> 12));
    rings.get(INFLATE).descriptor(0, BUFFERS, 8, 0, 0);
    assertEquals(new GuestRing.Used(0, 0), submit(INFLATE, 0));
    // An available index of 0 after one of 1: backwards.
    notifiers.get(DEFLATE).signal();
    await().until(() -> DeviceStatus.has(driver.status(), DeviceStatus.NEEDS_RESET));
    initialize(0, 1, 2);
    touch(PAGES);
    name(INFLATE, PAGES);
    assertTrue(isUntouched(PAGES));
  }

  @Test
  void aHostThatTakesNothingBackIsCountedAndTheQueueGoesOn() {
    MemorySegment low = Arena.ofAuto().allocate(RAM_END, 4096);
    MemorySegment high = Arena.ofAuto().allocate(RAM_END, 4096);
    // Which is said to be a file and is none.
    Region refused = new Region(HIGH_RAM, high, Backing.SHARED);
    transport.close();
    memory = new GuestMemory(List.of(new Region(0, low), refused));
    rings.replaceAll(ring -> new GuestRing(memory, 64, ring.setup().descriptorTable()));
    device = new BalloonDevice("balloon", 0, Duration.ZERO, true, true);
    connect();
    initialize(0, 1, 2, 4);
    touch(HIGH_RAM);
    name(INFLATE, HIGH_RAM);
    assertFalse(isUntouched(HIGH_RAM));
    assertEquals(1, count(BalloonEvent.ERRORS_HOST));
    assertEquals(0, count(BalloonEvent.PAGES_INFLATED));
    touch(PAGES);
    name(INFLATE, PAGES);
    assertTrue(isUntouched(PAGES));
  }

  // Reports

  private void report(int queue, long address, long bytes) {
    rings.get(queue).descriptor(0, address, bytes, WRITE, 0);
    assertEquals(new GuestRing.Used(0, 0), submit(queue, 0));
  }

  @Test
  void reportedPagesAreGivenBack() {
    touch(PAGES);
    touch(HIGH_RAM + PAGE);
    rings
        .get(REPORTING)
        .descriptor(0, PAGES, 0x4000, NEXT | WRITE, 1)
        .descriptor(1, HIGH_RAM, 0x2000, WRITE, 0);
    assertEquals(new GuestRing.Used(0, 0), submit(REPORTING, 0));
    assertTrue(isUntouched(PAGES));
    assertTrue(isUntouched(HIGH_RAM + PAGE));
    assertEquals(0x6000, count(BalloonEvent.BYTES_REPORTED));
    assertEquals(2, count(BalloonEvent.DISCARDS));
  }

  @Test
  void aDriverThatNumbersItsQueuesWithoutGapsReportsToo() {
    initialize(0, 1, 2, 3);
    touch(PAGES);
    report(LINUX_REPORTING, PAGES, PAGE);
    assertTrue(isUntouched(PAGES));
  }

  @Test
  void onlyWholePagesOfAReportAreGivenBack() {
    touch(PAGES + 99);
    touch(PAGES + PAGE);
    touch(PAGES + 2 * PAGE);
    report(REPORTING, PAGES + 100, 2 * PAGE);
    assertFalse(isUntouched(PAGES + 99));
    assertTrue(isUntouched(PAGES + PAGE));
    assertFalse(isUntouched(PAGES + 2 * PAGE));
    report(REPORTING, PAGES + 100, PAGE);
    assertEquals(PAGE, count(BalloonEvent.BYTES_REPORTED));
    assertEquals(1, count(BalloonEvent.DISCARDS));
  }

  @Test
  void aReportOfWhatIsNotMemoryIsReturned() {
    report(REPORTING, RAM_END - PAGE, 2 * PAGE);
    report(REPORTING, RAM_END, PAGE);
    report(REPORTING, PAGES, 0);
    assertEquals(3, count(BalloonEvent.ERRORS_DESCRIPTORS));
    assertEquals(0, count(BalloonEvent.BYTES_REPORTED));
  }

  @Test
  void aReportThatTheDeviceMayNotWriteIsRefused() {
    touch(PAGES);
    rings.get(REPORTING).descriptor(0, PAGES, PAGE, 0, 0);
    assertEquals(new GuestRing.Used(0, 0), submit(REPORTING, 0));
    assertEquals(1, count(BalloonEvent.ERRORS_MALFORMED));
    assertFalse(isUntouched(PAGES));
  }

  @Test
  void aReportedPageKeepsWhatItWasFilledWith() {
    driver.write(POISON, 0xaaaa_aaaa);
    touch(PAGES);
    report(REPORTING, PAGES, PAGE);
    assertFalse(isUntouched(PAGES));
    assertEquals(PAGE, count(BalloonEvent.BYTES_REPORTED_KEPT));
    driver.write(POISON, 0);
    report(REPORTING, PAGES, PAGE);
    assertTrue(isUntouched(PAGES), "a page filled with zeroes may go");
    driver.write(POISON, 1);
    driver.reset();
    assertEquals(0, driver.read(POISON), "the next driver begins anew");
  }

  // Statistics

  private record Statistic(int tag, long value) {}

  private void putStatistics(Statistic... statistics) {
    for (int i = 0; i < statistics.length; i++) {
      memory.putShort(BUFFERS + 10L * i, (short) statistics[i].tag);
      memory.putLong(BUFFERS + 10L * i + 2, statistics[i].value);
    }
    rings.get(STATISTICS).descriptor(0, BUFFERS, 10L * statistics.length, 0, 0).offer(0);
    notifiers.get(STATISTICS).signal();
  }

  private void awaitStatistics(long buffers) {
    await().until(() -> count(BalloonEvent.STATISTICS) == buffers);
  }

  /** As a driver does: gives the buffer again when it is returned. */
  private Map<String, Long> gaugesOf(Statistic... answer) {
    Thread guest =
        Thread.ofVirtual()
            .start(() -> {
              GuestRing.Used used = used(STATISTICS);
              assertEquals(new GuestRing.Used(0, 0), used);
              putStatistics(answer);
            });
    Map<String, Long> gauges = device.gauges();
    await().until(() -> !guest.isAlive());
    return gauges;
  }

  @Test
  void anInspectionAsksForStatisticsAndWaits() {
    replace(
        new BalloonDevice(
            "balloon", 0, Duration.ZERO, Duration.ofSeconds(20), System::nanoTime, false, false));
    initialize(0, 1, 2);
    putStatistics(new Statistic(4, 1_000));
    awaitStatistics(1);
    assertFalse(rings.get(STATISTICS).hasUsed(), "the device has it until somebody asks");
    Map<String, Long> gauges = gaugesOf(new Statistic(4, 500), new Statistic(5, 2_000));
    awaitStatistics(2);
    assertEquals(500, gauges.get("guest_free_bytes"));
    assertEquals(2_000, gauges.get("guest_total_bytes"));
    assertTrue(gauges.getOrDefault("guest_statistics_age_ns", -1L) >= 0);
  }

  @Test
  void everyStatisticHasItsName() {
    Statistic[] all = new Statistic[10];
    for (int tag = 0; tag < all.length; tag++) {
      all[tag] = new Statistic(tag, 100 + tag);
    }
    putStatistics(all);
    awaitStatistics(1);
    Map<String, Long> gauges = device.gauges();
    assertEquals(
        List.of(100L, 101L, 102L, 103L, 104L, 105L, 106L, 107L, 108L, 109L),
        java.util.stream.Stream.of(
                "guest_swapped_in_bytes",
                "guest_swapped_out_bytes",
                "guest_major_faults",
                "guest_minor_faults",
                "guest_free_bytes",
                "guest_total_bytes",
                "guest_available_bytes",
                "guest_disk_caches_bytes",
                "guest_huge_page_allocations",
                "guest_huge_page_failures")
            .map(gauges::get)
            .toList());
  }

  /** The control thread, which inspects, does not wait for a guest that gives ever more buffers. */
  @Test
  void statisticsWithoutEndHoldUpNobody() {
    int turn = 16 + 1; // The time of each buffer, and the time of their end.
    Interloper interloper = new Interloper(turn, () -> device.gauges());
    replace(
        new BalloonDevice(
            "balloon",
            0,
            Duration.ofHours(1),
            Duration.ZERO,
            () -> {
              if (Thread.currentThread().getName().equals("balloon statistics balloon")
                  && count(BalloonEvent.STATISTICS) > 0) {
                interloper.step();
              }
              return System.nanoTime();
            },
            false,
            false));
    initialize(0, 1, 2);
    for (int i = 0; i < 64; i++) {
      rings.get(STATISTICS).descriptor(i, BUFFERS, 10, 0, 0).offer(i);
    }
    notifiers.get(STATISTICS).signal();
    assertTrue(interloper.wasInTime());
  }

  @Test
  void statisticsThatNobodyKnowsAreCounted() {
    putStatistics(new Statistic(10, 7), new Statistic(0xffff, 8), new Statistic(4, 9));
    awaitStatistics(1);
    assertEquals(2, count(BalloonEvent.STATISTICS_UNKNOWN));
    assertEquals(9, device.gauges().get("guest_free_bytes"));
  }

  @Test
  void statisticsOfOddLengthAreRefusedAndTheQueueGoesOn() {
    rings.get(STATISTICS).descriptor(0, BUFFERS, 15, 0, 0).offer(0);
    notifiers.get(STATISTICS).signal();
    awaitStatistics(1);
    assertEquals(1, count(BalloonEvent.ERRORS_MALFORMED));
    gaugesOf(new Statistic(4, 3));
    awaitStatistics(2);
    assertEquals(3, device.gauges().get("guest_free_bytes"));
  }

  @Test
  void oversizedStatisticsAreReadInPart() {
    rings.get(STATISTICS).descriptor(0, BUFFERS, 10L * (StatisticsQueue.MAX_ENTRIES + 1), 0, 0);
    memory.putShort(BUFFERS + 10L * StatisticsQueue.MAX_ENTRIES, (short) 99);
    rings.get(STATISTICS).offer(0);
    notifiers.get(STATISTICS).signal();
    awaitStatistics(1);
    assertEquals(1, count(BalloonEvent.ERRORS_OVERSIZED));
    assertEquals(0, count(BalloonEvent.STATISTICS_UNKNOWN));
  }

  @Test
  void aSecondBufferOfStatisticsSendsTheFirstBack() {
    putStatistics(new Statistic(4, 1));
    awaitStatistics(1);
    rings.get(STATISTICS).descriptor(1, BUFFERS, 10, 0, 0).offer(1);
    notifiers.get(STATISTICS).signal();
    assertEquals(new GuestRing.Used(0, 0), used(STATISTICS));
    assertEquals(1, count(BalloonEvent.ERRORS_STATISTICS_BUFFERS));
  }

  @Test
  void aGuestThatDoesNotAnswerHoldsUpNoInspection() {
    putStatistics(new Statistic(4, 1));
    awaitStatistics(1);
    assertEquals(1, device.gauges().get("guest_free_bytes"));
    assertEquals(new GuestRing.Used(0, 0), used(STATISTICS));
    assertEquals(1, device.gauges().get("guest_free_bytes"), "what it said last");
    driver.reset();
    assertFalse(device.gauges().containsKey("guest_swapped_in_bytes"));
  }

  @Test
  void statisticsAreAskedForAtTheirInterval() {
    replace(new BalloonDevice("balloon", 0, ofMillis(2), false, false));
    initialize(0, 1, 2);
    for (int answer = 0; answer < 5; answer++) {
      putStatistics(new Statistic(4, answer));
      assertEquals(new GuestRing.Used(0, 0), used(STATISTICS));
    }
    assertEquals(4, device.gauges().get("guest_free_bytes"));
  }

  // Life

  @Test
  void anIllegalRingNeedsAResetWhichBringsItBack() {
    rings.get(STATISTICS).offer(64);
    notifiers.get(STATISTICS).signal();
    await().until(() -> DeviceStatus.has(driver.status(), DeviceStatus.NEEDS_RESET));
    initialize(0, 1, 2, 4);
    putStatistics(new Statistic(4, 77));
    awaitStatistics(1);
    assertEquals(77, device.gauges().get("guest_free_bytes"));
    touch(PAGES);
    report(REPORTING, PAGES, PAGE);
    assertTrue(isUntouched(PAGES));
  }

  @Test
  void aDriverMayUseNoMoreThanTheTwoQueuesOfTheBalloon() {
    initialize(0, 0, 1);
    touch(PAGES);
    name(INFLATE, PAGES);
    assertTrue(isUntouched(PAGES));
    assertEquals(0, driver.status() & DeviceStatus.NEEDS_RESET);
  }

  /** VIRTIO 1.2, section 2.6.1: both rings begin at their beginning. */
  @ParameterizedTest
  @ValueSource(ints = {INFLATE, DEFLATE, REPORTING})
  void aQueueThatIsResetAloneIsServedAgain(int queue) {
    requestOf(queue);
    driver.resetQueue(queue);
    rings.get(queue).clear();
    driver.setUpQueue(queue, rings.get(queue).setup());
    requestOf(queue);
    assertEquals(1, rings.get(queue).usedIndex());
    requestOf(queue == DEFLATE ? INFLATE : DEFLATE);
  }

  private void requestOf(int queue) {
    touch(PAGES);
    if (queue == REPORTING) {
      report(queue, PAGES, PAGE);
    } else {
      name(queue, PAGES);
    }
    assertEquals(queue != DEFLATE, isUntouched(PAGES));
  }

  /** The buffer that the device held is forgotten with its ring. */
  @Test
  void theQueueOfStatisticsThatIsResetAloneIsServedAgain() {
    replace(
        new BalloonDevice(
            "balloon", 0, Duration.ZERO, Duration.ofSeconds(20), System::nanoTime, false, false));
    initialize(0, 1, 2);
    putStatistics(new Statistic(4, 1_000));
    awaitStatistics(1);
    driver.resetQueue(STATISTICS);
    assertFalse(rings.get(STATISTICS).hasUsed());
    rings.get(STATISTICS).clear();
    driver.setUpQueue(STATISTICS, rings.get(STATISTICS).setup());
    putStatistics(new Statistic(4, 2_000));
    awaitStatistics(2);
    assertEquals(500, gaugesOf(new Statistic(4, 500)).get("guest_free_bytes"));
    assertEquals(1, rings.get(STATISTICS).usedIndex());
  }

  @Test
  void aQueueThatIsStoppedIsServedNoMore() {
    driver.write(Register.QUEUE_SEL, INFLATE);
    driver.write(Register.QUEUE_READY, 0);
    touch(PAGES);
    memory.putInt(BUFFERS, (int) (PAGES >>> 12));
    rings.get(INFLATE).descriptor(0, BUFFERS, 4, 0, 0).offer(0);
    notifiers.get(INFLATE).signal();
    name(DEFLATE, PAGES);
    driver.reset(); // Nothing is in flight after it.
    assertFalse(isUntouched(PAGES));
  }

  // Tracing

  @Test
  void aTraceTellsOfPagesAndNotOfTheirNames() {
    TraceRing trace = new TraceRing();
    TraceRecord record = new TraceRecord();
    transport.trace(trace, new TraceFilter(false, true, "", 0));
    name(INFLATE, PAGES, PAGES + PAGE, PAGES + 2 * PAGE);
    name(DEFLATE, PAGES);
    report(REPORTING, PAGES, 2 * PAGE);

    List<String> told = new ArrayList<>();
    while (trace.take(record)) {
      TracedRequest request = TracedRequest.of(record);
      told.add(request.queue() + " " + request.kind().label() + " " + request.bytes());
    }
    assertEquals(List.of("0 inflate 12288", "1 deflate 4096", "4 report 8192"), told);
  }
}
