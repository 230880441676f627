package dev.vireo.vmm.virtio.memory;

import static dev.vireo.vmm.virtio.queue.GuestRing.BUFFERS;
import static dev.vireo.vmm.virtio.queue.GuestRing.NEXT;
import static dev.vireo.vmm.virtio.queue.GuestRing.RAM_END;
import static dev.vireo.vmm.virtio.queue.GuestRing.WRITE;
import static java.time.Duration.ofMillis;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.catalog.MmioPlan;
import dev.vireo.linux.Errno;
import dev.vireo.linux.EventFd;
import dev.vireo.linux.LinuxException;
import dev.vireo.vmm.memory.Backing;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.GuestMemory.Region;
import dev.vireo.vmm.memory.HotplugLayout;
import dev.vireo.vmm.memory.HotplugRegion;
import dev.vireo.vmm.trace.TraceFilter;
import dev.vireo.vmm.trace.TraceRecord;
import dev.vireo.vmm.trace.TraceRing;
import dev.vireo.vmm.virtio.DeviceStatus;
import dev.vireo.vmm.virtio.mmio.GuestDriver;
import dev.vireo.vmm.virtio.mmio.MmioTransport;
import dev.vireo.vmm.virtio.mmio.Register;
import dev.vireo.vmm.virtio.queue.GuestRing;
import dev.vireo.vmm.virtio.queue.RequestResult;
import dev.vireo.vmm.virtio.queue.TracedRequest;
import java.lang.foreign.Arena;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A whole memory device, from a guest's registers and ring to what other devices may touch. */
@Timeout(30)
class MemoryDeviceTest {
  private static final int PLUG = 0;
  private static final int UNPLUG = 1;
  private static final int UNPLUG_ALL = 2;
  private static final int STATE = 3;

  private static final int ACK = 0;
  private static final int NACK = 1;
  private static final int BUSY = 2;
  private static final int ERROR = 3;

  private static final int PLUGGED = 0;
  private static final int UNPLUGGED = 1;
  private static final int MIXED = 2;

  /** A bit of InterruptStatus (4.2.2). */
  private static final int CONFIGURATION_CHANGE = 2;

  private static final int BLOCK_SIZE = Register.CONFIG;
  private static final int NODE_ID = Register.CONFIG + 8;
  private static final int ADDR = Register.CONFIG + 16;
  private static final int REGION_SIZE = Register.CONFIG + 24;
  private static final int USABLE_REGION_SIZE = Register.CONFIG + 32;
  private static final int PLUGGED_SIZE = Register.CONFIG + 40;
  private static final int REQUESTED_SIZE = Register.CONFIG + 48;

  private static final long BLOCK = 0x1_0000;
  private static final int BLOCKS = 16;
  private static final long BASE = 1L << 32;
  private static final HotplugLayout LAYOUT = new HotplugLayout(BASE, BLOCKS * BLOCK, BLOCK);
  private static final long RESPONSE = BUFFERS + 0x100;
  private static final int REQUEST_BYTES = 24;
  private static final int RESPONSE_BYTES = 10;

  /** Where the response was not written. */
  private static final byte UNWRITTEN = 0x55;

  private final Host host = new Host();
  private final HotplugRegion region =
      new HotplugRegion(
          LAYOUT, Arena.ofAuto().allocate(BLOCKS * BLOCK, 4096), Backing.ANONYMOUS, host);
  private final GuestMemory memory =
      new GuestMemory(List.of(new Region(0, Arena.ofAuto().allocate(RAM_END, 4096))), region);
  private GuestRing ring = new GuestRing(memory, 64);
  private final EventFd notifier = EventFd.blocking();
  private final EventFd interrupt = EventFd.nonBlocking();
  private final MemoryDevice device = new MemoryDevice("memory", LAYOUT, 4 * BLOCK);
  private final MmioTransport transport =
      new MmioTransport(MmioPlan.X86_64.slot(0), device, memory, interrupt, List.of(notifier));
  private GuestDriver driver = new GuestDriver(transport, ring);

  /** Of which there is enough, until it is told otherwise. */
  private static final class Host implements HotplugRegion.Host {
    private volatile boolean refuses;
    private volatile CountDownLatch may = new CountDownLatch(0);
    private volatile boolean isAtIt;

    @Override
    public void plug(long offset, long bytes) {
      isAtIt = true;
      try {
        may.await();
      } catch (InterruptedException e) {
        throw new IllegalStateException("nobody interrupts it", e);
      }
      refuse();
    }

    @Override
    public void unplug(long offset, long bytes) {
      refuse();
    }

    private void refuse() {
      if (refuses) {
        throw new LinuxException("no", Errno.ENOMEM);
      }
    }

    @Override
    public long failures() {
      return 0;
    }
  }

  MemoryDeviceTest() {
    driver.initialize(device.features());
    assertTrue(DeviceStatus.has(driver.status(), DeviceStatus.DRIVER_OK));
  }

  @AfterEach
  void close() {
    transport.close();
    notifier.close();
    interrupt.close();
  }

  private long read64(int register) {
    return Integer.toUnsignedLong(driver.read(register))
        | Integer.toUnsignedLong(driver.read(register + 4)) << 32;
  }

  private static long address(int block) {
    return BASE + block * BLOCK;
  }

  /** The response's type. */
  private int ask(int type, int block, int count) {
    return ask(type, address(block), count);
  }

  private int ask(int type, long address, int count) {
    writeRequest(type, address, count);
    assertEquals(new GuestRing.Used(0, RESPONSE_BYTES), submit());
    return memory.getShort(RESPONSE);
  }

  private void writeRequest(int type, long address, int count) {
    memory.putLong(BUFFERS, Integer.toUnsignedLong(type) | 0x7777_7777_7777_0000L); // padding
    memory.putLong(BUFFERS + 8, address);
    memory.putLong(BUFFERS + 16, Integer.toUnsignedLong(count) | 0x7777_7777_7777_0000L);
    memory.write(RESPONSE, new byte[] {UNWRITTEN, UNWRITTEN, 1, 1, 1, 1, 1, 1, UNWRITTEN, 1, 1});
    ring.descriptor(0, BUFFERS, REQUEST_BYTES, NEXT, 1);
    ring.descriptor(1, RESPONSE, RESPONSE_BYTES, WRITE, 0);
  }

  private int state(int block, int count) {
    assertEquals(ACK, ask(STATE, block, count));
    return memory.getShort(RESPONSE + 8);
  }

  private GuestRing.Used submit() {
    ring.offer(0);
    notifier.signal();
    return used();
  }

  private GuestRing.Used used() {
    await().pollDelay(Duration.ZERO).pollInterval(ofMillis(1)).until(ring::hasUsed);
    return ring.takeUsed();
  }

  private long count(MemoryEvent event) {
    return device.counters().getOrDefault(event.name().toLowerCase(Locale.ROOT), 0L);
  }

  private long illegal(String use) {
    return transport.inspect().counters().getOrDefault("illegal." + use, 0L);
  }

  private void assertBroken(String reason) {
    await().until(() -> DeviceStatus.has(driver.status(), DeviceStatus.NEEDS_RESET));
    assertEquals(1, illegal(reason));
  }

  // Trace

  @ParameterizedTest
  @CsvSource({"0, 1, OK", "0, 5, ERROR", "16, 1, ERROR"})
  void aTraceTellsWhetherARequestWasDone(int block, int count, RequestResult expected) {
    TraceRing trace = new TraceRing();
    transport.trace(trace, new TraceFilter(false, true, "", 0));
    ask(PLUG, block, count);
    assertEquals(expected, traced(trace));
  }

  /** Which is 2, as "unsupported" is elsewhere. */
  @Test
  void aTraceTellsOfABusyHostAsOfAnError() {
    host.refuses = true;
    TraceRing trace = new TraceRing();
    transport.trace(trace, new TraceFilter(false, true, "", 0));
    assertEquals(BUSY, ask(PLUG, 0, 1));
    assertEquals(RequestResult.ERROR, traced(trace));
  }

  private static RequestResult traced(TraceRing trace) {
    TraceRecord record = new TraceRecord();
    assertTrue(trace.take(record));
    return TracedRequest.of(record).result();
  }

  // Configuration

  @Test
  void isFoundByItsNumberAndSaysWhereItsRegionIs() {
    assertEquals(24, driver.read(Register.DEVICE_ID));
    assertEquals(BLOCK, read64(BLOCK_SIZE));
    assertEquals(0, read64(NODE_ID));
    assertEquals(BASE, read64(ADDR));
    assertEquals(BLOCKS * BLOCK, read64(REGION_SIZE));
    assertEquals(BLOCKS * BLOCK, read64(USABLE_REGION_SIZE));
    assertEquals(0, read64(PLUGGED_SIZE));
    assertEquals(4 * BLOCK, read64(REQUESTED_SIZE));
    driver.write(REQUESTED_SIZE, 0);
    assertEquals(1, illegal("config_read_only"));
  }

  @Test
  void aDriverThatMayReadWhatIsNotPluggedIsServedToo() {
    assertEquals(MemoryFeature.UNPLUGGED_INACCESSIBLE, driver.deviceFeatures() & 0xff);
    driver.initialize(device.features() & ~MemoryFeature.UNPLUGGED_INACCESSIBLE);
    assertEquals(ACK, ask(PLUG, 0, 1));
  }

  @Test
  void aSizeThatChangesIsToldOfByAConfigurationInterrupt() {
    driver.takeInterrupt();
    int generation = driver.read(Register.CONFIG_GENERATION);
    device.setRequested(8 * BLOCK);
    assertEquals(8 * BLOCK, read64(REQUESTED_SIZE));
    assertNotEquals(generation, driver.read(Register.CONFIG_GENERATION));
    assertEquals(CONFIGURATION_CHANGE, driver.takeInterrupt());
  }

  @Test
  void aSizeThatChangesWhileThereIsNoDriverIsThereForTheNext() {
    driver.reset();
    device.setRequested(8 * BLOCK);
    driver.initialize(device.features());
    assertEquals(8 * BLOCK, read64(REQUESTED_SIZE));
  }

  @ParameterizedTest
  @ValueSource(longs = {1, BLOCK - 1, BLOCK * BLOCKS + BLOCK, -BLOCK, Long.MIN_VALUE})
  void aSizeThatCannotBeIsRefused(long bytes) {
    assertFalse(device.isPossible(bytes));
    assertThrows(IllegalArgumentException.class, () -> device.setRequested(bytes));
    assertEquals(4 * BLOCK, device.requestedBytes());
  }

  // Requests

  @Test
  void aPluggedBlockIsMemoryUntilItIsUnplugged() {
    assertFalse(memory.contains(address(2), 1));
    assertEquals(ACK, ask(PLUG, 2, 3));
    assertTrue(memory.contains(address(2), 3 * BLOCK));
    assertFalse(memory.contains(address(1), BLOCK));
    assertFalse(memory.contains(address(5), BLOCK));
    assertEquals(3 * BLOCK, read64(PLUGGED_SIZE));
    memory.putLong(address(4), 42);
    assertEquals(ACK, ask(UNPLUG, 3, 2));
    assertFalse(memory.contains(address(4), 8));
    assertTrue(memory.contains(address(2), BLOCK));
    assertEquals(BLOCK, read64(PLUGGED_SIZE));
    assertEquals(3 * BLOCK, count(MemoryEvent.BYTES_PLUGGED));
    assertEquals(2 * BLOCK, count(MemoryEvent.BYTES_UNPLUGGED));
    assertEquals(BLOCK, device.gauges().get("plugged_bytes"));
    assertEquals(4 * BLOCK, device.gauges().get("requested_bytes"));
    assertEquals(BLOCKS * BLOCK, device.gauges().get("region_bytes"));
    assertEquals("0x100000000-0x1000fffff", device.attributes().get("region"));
  }

  /** 5.15.4.2: "SHOULD NOT send a configuration update notification when changing plugged_size". */
  @Test
  void whatIsPluggedIsShownUnderAnotherGenerationAndWithoutAnInterrupt() {
    driver.takeInterrupt();
    int generation = driver.read(Register.CONFIG_GENERATION);
    assertEquals(ACK, ask(PLUG, 0, 1));
    assertNotEquals(generation, driver.read(Register.CONFIG_GENERATION));
    await().until(() -> driver.read(Register.INTERRUPT_STATUS) != 0);
    assertEquals(0, driver.takeInterrupt() & CONFIGURATION_CHANGE);
  }

  @Test
  void aResponseIsWrittenWholeAndNotBeyondItsEnd() {
    assertEquals(ACK, ask(STATE, 0, 1));
    assertEquals(0, memory.getShort(RESPONSE + 2));
    assertEquals(0, memory.getInt(RESPONSE + 4));
    assertEquals(1, memory.getByte(RESPONSE + RESPONSE_BYTES));
  }

  @Test
  void noMoreIsPluggedThanIsAskedFor() {
    assertEquals(NACK, ask(PLUG, 0, 5));
    assertEquals(ACK, ask(PLUG, 0, 3));
    assertEquals(NACK, ask(PLUG, 3, 2));
    assertEquals(ACK, ask(PLUG, 3, 1));
    assertEquals(NACK, ask(PLUG, 4, 1));
    assertEquals(3, count(MemoryEvent.REFUSED_BEYOND_REQUESTED));
    device.setRequested(0);
    assertEquals(ACK, ask(UNPLUG, 0, 1));
    assertEquals(NACK, ask(PLUG, 0, 1));
    assertEquals(3 * BLOCK, region.pluggedBytes());
  }

  @Test
  void aNodeWithoutMemoryIsBusyAndTheGuestLives() {
    host.refuses = true;
    assertEquals(BUSY, ask(PLUG, 0, 2));
    assertEquals(0, read64(PLUGGED_SIZE));
    host.refuses = false;
    assertEquals(ACK, ask(PLUG, 0, 2));
    host.refuses = true;
    assertEquals(BUSY, ask(UNPLUG, 0, 2));
    assertEquals(BUSY, ask(UNPLUG_ALL, 0, 0));
    assertEquals(2 * BLOCK, read64(PLUGGED_SIZE));
    assertEquals(3, count(MemoryEvent.REFUSED_BY_HOST));
  }

  @Test
  void allIsUnpluggedAtOnce() {
    assertEquals(ACK, ask(PLUG, 0, 1));
    assertEquals(ACK, ask(PLUG, 7, 2));
    assertEquals(ACK, ask(UNPLUG_ALL, -1L, 0xffff));
    assertEquals(0, read64(PLUGGED_SIZE));
    assertEquals(UNPLUGGED, state(0, BLOCKS));
    assertEquals(ACK, ask(UNPLUG_ALL, 0, 0));
    assertEquals(3 * BLOCK, count(MemoryEvent.BYTES_UNPLUGGED));
  }

  @Test
  void theStateOfBlocksIsTold() {
    assertEquals(ACK, ask(PLUG, 4, 4));
    assertEquals(PLUGGED, state(4, 4));
    assertEquals(PLUGGED, state(5, 1));
    assertEquals(UNPLUGGED, state(0, 4));
    assertEquals(UNPLUGGED, state(8, 8));
    assertEquals(MIXED, state(3, 2));
    assertEquals(MIXED, state(0, BLOCKS));
  }

  @Test
  void whatIsPluggedIsNotPluggedAgainAndWhatIsNotIsNotUnplugged() {
    assertEquals(ACK, ask(PLUG, 4, 2));
    assertEquals(ERROR, ask(PLUG, 4, 1));
    assertEquals(ERROR, ask(PLUG, 3, 2));
    assertEquals(ERROR, ask(PLUG, 5, 2));
    assertEquals(ERROR, ask(UNPLUG, 3, 2));
    assertEquals(ERROR, ask(UNPLUG, 5, 2));
    assertEquals(ERROR, ask(UNPLUG, 0, 1));
    assertEquals(6, count(MemoryEvent.ERRORS_STATE));
    assertEquals(PLUGGED, state(4, 2));
    assertEquals(2 * BLOCK, read64(PLUGGED_SIZE));
  }

  @ParameterizedTest
  @CsvSource({
    "0x100000001, 1",
    "0x100008000, 1",
    "0xffff0000, 1",
    "0x100100000, 1",
    "0x100000000, 0",
    "0x100000000, 17",
    "0x1000f0000, 2",
    "0x100000000, 65535",
    "0, 1",
    "-0x10000, 1",
    "-0x10000, 65535",
    "0x7fffffffffff0000, 65535",
    "-0x8000000000000000, 1",
  })
  void blocksThatThereAreNotAreAnError(String address, int count) {
    device.setRequested(BLOCKS * BLOCK);
    long at = Long.decode(address);
    assertEquals(ERROR, ask(PLUG, at, count));
    assertEquals(ERROR, ask(UNPLUG, at, count));
    assertEquals(ERROR, ask(STATE, at, count));
    assertEquals(3, count(MemoryEvent.ERRORS_RANGE));
    assertEquals(0, region.pluggedBytes());
  }

  @ParameterizedTest
  @ValueSource(ints = {4, 0x100, 0xffff})
  void aRequestThatNobodyKnowsIsAnError(int type) {
    assertEquals(ERROR, ask(type, 0, 1));
    assertEquals(1, count(MemoryEvent.ERRORS_UNKNOWN));
  }

  @ParameterizedTest
  @CsvSource({"23, 10", "24, 9", "1, 1"})
  void aRequestThatIsTooShortIsReturned(int requestBytes, int responseBytes) {
    writeRequest(PLUG, BASE, 1);
    ring.descriptor(0, BUFFERS, requestBytes, NEXT, 1);
    ring.descriptor(1, RESPONSE, responseBytes, WRITE, 0);
    assertEquals(new GuestRing.Used(0, 0), submit());
    assertEquals(1, count(MemoryEvent.ERRORS_MALFORMED));
    assertEquals(UNWRITTEN, memory.getByte(RESPONSE));
    assertEquals(ACK, ask(PLUG, 0, 1));
  }

  @Test
  void aRequestInPiecesIsServed() {
    writeRequest(PLUG, address(1), 1);
    ring.descriptor(0, BUFFERS, 9, NEXT, 2);
    ring.descriptor(2, BUFFERS + 9, 8, NEXT, 3);
    ring.descriptor(3, BUFFERS + 17, 7, NEXT, 4);
    ring.descriptor(4, RESPONSE, 1, WRITE | NEXT, 5);
    ring.descriptor(5, RESPONSE + 1, 9, WRITE, 0);
    assertEquals(new GuestRing.Used(0, RESPONSE_BYTES), submit());
    assertEquals(ACK, memory.getShort(RESPONSE));
    assertEquals(PLUGGED, state(1, 1));
  }

  @Test
  void aRequestOutsideMemoryIsReturned() {
    writeRequest(PLUG, BASE, 1);
    ring.descriptor(0, address(9), REQUEST_BYTES, NEXT, 1);
    assertEquals(new GuestRing.Used(0, 0), submit());
    assertEquals(1, count(MemoryEvent.ERRORS_DESCRIPTORS));
  }

  // Guests that hurt themselves

  @Test
  void aResponseInTheBlockThatIsUnpluggedNeedsAReset() {
    assertEquals(ACK, ask(PLUG, 0, 1));
    writeRequest(UNPLUG, BASE, 1);
    ring.descriptor(1, BASE, RESPONSE_BYTES, WRITE, 0);
    ring.offer(0);
    notifier.signal();
    assertBroken("ring");
    assertEquals(0, region.pluggedBytes());
    driver.initialize(device.features());
    assertEquals(ACK, ask(PLUG, 0, 1));
  }

  @Test
  void aRingInTheBlockThatIsUnpluggedNeedsAReset() {
    assertEquals(ACK, ask(PLUG, 0, 1));
    driver.reset();
    ring = new GuestRing(memory, 64, BASE);
    driver = new GuestDriver(transport, ring);
    driver.initialize(device.features());
    writeRequest(UNPLUG_ALL, 0, 0);
    ring.offer(0);
    notifier.signal();
    assertBroken("ring");
    assertEquals(0, region.pluggedBytes());
    driver.reset();
    driver.negotiate(device.features());
    driver.setUpQueue(0);
    driver.ready();
    assertTrue(DeviceStatus.has(driver.status(), DeviceStatus.NEEDS_RESET));
  }

  // Life cycle

  /** 5.15.5.2: "The device MUST NOT change the state of memory blocks during device reset." */
  @Test
  void aResetLeavesWhatIsPluggedForTheNextDriver() {
    assertEquals(ACK, ask(PLUG, 1, 2));
    memory.putLong(address(1), 0x1122_3344);
    driver.reset();
    assertEquals(0x1122_3344, memory.getLong(address(1)));
    assertEquals(2 * BLOCK, read64(PLUGGED_SIZE));
    driver.initialize(device.features());
    assertEquals(PLUGGED, state(1, 2));
    assertEquals(ACK, ask(UNPLUG_ALL, 0, 0));
    assertEquals(0, read64(PLUGGED_SIZE));
  }

  /** The vCPU that resets waits for the request, which must not wait for the vCPU. */
  @Test
  void aResetWaitsForWhatIsBeingPlugged() throws InterruptedException {
    host.may = new CountDownLatch(1);
    writeRequest(PLUG, BASE, 2);
    ring.offer(0);
    notifier.signal();
    await().until(() -> host.isAtIt);
    Thread vcpu = Thread.ofPlatform().start(driver::reset);
    await().until(() -> vcpu.getState() == Thread.State.BLOCKED);
    host.may.countDown();
    vcpu.join();
    assertEquals(0, driver.status());
    assertEquals(2 * BLOCK, region.pluggedBytes());
    assertEquals(2 * BLOCK, read64(PLUGGED_SIZE));
  }

  @Test
  void aQueueThatIsResetAloneIsServedAgain() {
    driver.resetQueue(0);
    ring.clear();
    driver.setUpQueue(0);
    assertEquals(ACK, ask(PLUG, 0, 1));
  }

  @Test
  void aStoppedQueueIsNotServed() {
    driver.write(Register.QUEUE_SEL, 0);
    driver.write(Register.QUEUE_READY, 0);
    writeRequest(PLUG, BASE, 1);
    ring.offer(0);
    notifier.signal();
    await().during(ofMillis(50)).until(() -> !ring.hasUsed());
    assertEquals(0, region.pluggedBytes());
  }
}
