package dev.vireo.vmm.virtio.block;

import static dev.vireo.vmm.virtio.queue.GuestRing.BUFFERS;
import static dev.vireo.vmm.virtio.queue.GuestRing.INDIRECT;
import static dev.vireo.vmm.virtio.queue.GuestRing.NEXT;
import static dev.vireo.vmm.virtio.queue.GuestRing.RAM_END;
import static dev.vireo.vmm.virtio.queue.GuestRing.WRITE;
import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.time.Duration.ofMillis;
import static java.util.concurrent.TimeUnit.SECONDS;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.catalog.MmioPlan;
import dev.vireo.linux.EventFd;
import dev.vireo.linux.Fd;
import dev.vireo.vmm.backend.DiskGeometry;
import dev.vireo.vmm.backend.FakeLibc;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.virtio.DeviceStatus;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.block.BlockDevice.Settings;
import dev.vireo.vmm.virtio.mmio.GuestDriver;
import dev.vireo.vmm.virtio.mmio.MmioTransport;
import dev.vireo.vmm.virtio.mmio.Register;
import dev.vireo.vmm.virtio.queue.GuestRing;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A whole device, from a guest's registers and rings to the bytes of a file. */
@Timeout(30)
class BlockDeviceTest {
  private static final int SECTORS = 64;
  private static final int BYTES = SECTORS * 512;
  private static final int IN = 0;
  private static final int OUT = 1;
  private static final int FLUSH = 4;
  private static final int GET_ID = 8;
  private static final int OK = 0;
  private static final int IO_ERROR = 1;
  private static final int UNSUPPORTED = 2;
  private static final int NOT_WRITTEN = 0xaa;

  private static final long HEADER = BUFFERS;
  private static final long STATUS = BUFFERS + 0x100;
  private static final long DATA = BUFFERS + 0x1000;

  @TempDir Path directory;

  private final GuestRing ring = new GuestRing(64);
  private final EventFd interrupt = EventFd.nonBlocking();
  private final List<AutoCloseable> owned = new ArrayList<>();
  private final byte[] content = new byte[BYTES];
  private Path path;

  @BeforeEach
  void createDisk() throws IOException {
    for (int i = 0; i < BYTES; i++) {
      content[i] = (byte) (i * 31 + i / 512);
    }
    path = Files.write(directory.resolve("disk.raw"), content);
  }

  @AfterEach
  void close() throws Exception {
    for (AutoCloseable each : owned.reversed()) {
      each.close();
    }
    interrupt.close();
  }

  private EventFd newNotifier() {
    EventFd notifier = EventFd.blocking();
    owned.add(notifier);
    return notifier;
  }

  private Disk disk(boolean readOnly) {
    return new Disk(
        new RawFile(Fd.open(path.toString(), readOnly ? Fd.O_RDONLY : Fd.O_RDWR), BYTES), readOnly);
  }

  private Disk disk() {
    return disk(false);
  }

  /** A live disk of this guest, and its driver. */
  private final class Disk {
    final BlockDevice device;
    final MmioTransport transport;
    final GuestDriver driver;
    final EventFd notifier = newNotifier();

    Disk(RawFile file, boolean readOnly) {
      device = new BlockDevice("disk0", file, Settings.simple(readOnly, line -> {}));
      transport =
          new MmioTransport(
              MmioPlan.X86_64.slot(0), device, ring.memory(), interrupt, List.of(notifier));
      owned.add(transport);
      driver = new GuestDriver(transport, ring);
      driver.initialize(device.features());
    }

    long count(String counter) {
      return transport.inspect().counters().getOrDefault(counter, 0L);
    }

    /** Header, data, status, each a buffer. */
    GuestRing.Used request(int type, long sector, long length) {
      writeHeader(type, sector);
      int dataFlags = type == OUT ? NEXT : NEXT | WRITE;
      ring.descriptor(0, HEADER, 16, NEXT, length > 0 ? 1 : 2)
          .descriptor(1, DATA, length, dataFlags, 2)
          .descriptor(2, STATUS, 1, WRITE, 0);
      return submit(0);
    }

    GuestRing.Used submit(int head) {
      ring.memory().putByte(STATUS, (byte) NOT_WRITTEN);
      ring.offer(head);
      notifier.signal();
      await().pollDelay(Duration.ZERO).pollInterval(ofMillis(1)).until(ring::hasUsed);
      return ring.takeUsed();
    }
  }

  private void writeHeader(int type, long sector) {
    ring.memory().putInt(HEADER, type);
    ring.memory().putInt(HEADER + 4, 0);
    ring.memory().putLong(HEADER + 8, sector);
  }

  private int status() {
    return Byte.toUnsignedInt(ring.memory().getByte(STATUS));
  }

  private byte[] guestBytes(long address, int length) {
    byte[] bytes = new byte[length];
    ring.memory().read(address, bytes);
    return bytes;
  }

  private byte[] fileBytes(int from, int to) {
    return Arrays.copyOfRange(content, from, to);
  }

  @Nested
  class TheDevice {
    @Test
    void showsItsCapacityAndItsSegments() {
      Disk disk = disk();
      assertEquals(SECTORS, disk.transport.read(Register.CONFIG, 4));
      assertEquals(0, disk.transport.read(Register.CONFIG + 4, 4));
      assertEquals(254, disk.transport.read(Register.CONFIG + 12, 4));
      disk.transport.write(Register.CONFIG, 4, 1);
      assertEquals(SECTORS, disk.transport.read(Register.CONFIG, 4));
    }

    @Test
    void hasAConfigurationThatEndsWithItsLastField() {
      Disk disk = disk();
      int end = Register.CONFIG + disk.device.configLength();
      for (int width = 1; width <= 4; width *= 2) {
        assertEquals(0, disk.transport.read(end, width));
        assertEquals(
            disk.transport.read(end - 1, 1), disk.transport.read(end - 1, width), "across its end");
        disk.transport.write(end - 1, width, -1);
      }
      assertEquals(3, disk.count("illegal.config_read_only"));
    }

    @Test
    void offersReadOnlyOnlyIfItIs() {
      long writable = disk(false).driver.deviceFeatures();
      long readOnly = disk(true).driver.deviceFeatures();
      assertEquals(0, writable & BlockFeature.READ_ONLY);
      long changes = BlockFeature.DISCARD | BlockFeature.WRITE_ZEROES;
      assertEquals((writable & ~changes) | BlockFeature.READ_ONLY, readOnly);
      assertEquals(
          VirtioDevice.VERSION_1
              | VirtioDevice.RING_RESET
              | Virtqueue.EVENT_IDX
              | Virtqueue.INDIRECT_DESC
              | BlockFeature.FLUSH
              | BlockFeature.SEG_MAX
              | BlockFeature.BLK_SIZE
              | BlockFeature.TOPOLOGY
              | changes,
          writable);
    }

    @Test
    void interruptsWithTheUsedBufferBit() {
      Disk disk = disk();
      disk.request(IN, 0, 512);
      await().until(interrupt::drain);
      assertEquals(1, disk.driver.takeInterrupt());
      assertEquals(0, disk.driver.takeInterrupt());
      assertEquals(1, disk.transport.inspect().queues().getFirst().interrupts());
    }
  }

  @Nested
  class Reads {
    @ParameterizedTest
    @CsvSource({"0, 1", "3, 2", "63, 1", "0, 64"})
    void bringSectors(long sector, int count) {
      Disk disk = disk();
      GuestRing.Used used = disk.request(IN, sector, count * 512L);
      assertEquals(OK, status());
      assertEquals(new GuestRing.Used(0, count * 512 + 1), used);
      assertArrayEquals(
          fileBytes((int) sector * 512, ((int) sector + count) * 512),
          guestBytes(DATA, count * 512));
      assertEquals(1, disk.count("requests_read"));
      assertEquals(count * 512L, disk.count("bytes_read"));
    }

    @ParameterizedTest
    @CsvSource({
      "64, 1",
      "63, 2",
      "0, 65",
      "0x7fffffffffffffff, 1",
      "-1, 1", // 2^64 − 1
      "0x80000000000000, 1", // times 512 is 2^64
      "0x7fffffffffffff, 1", // times 512 is 2^63
      "64, 0",
    })
    void beyondTheCapacityAreRefused(String sector, int count) {
      Disk disk = disk();
      disk.request(IN, Long.decode(sector), count * 512L);
      // Nothing at the very end is a legal nothing.
      boolean legal = count == 0;
      assertEquals(legal ? OK : IO_ERROR, status());
      assertEquals(legal ? 0 : 1, disk.count("errors_out_of_range"));
      assertArrayEquals(new byte[512], guestBytes(DATA, 512));
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 511, 513, 1023})
    void ofPartsOfSectorsAreRefused(long length) {
      Disk disk = disk();
      GuestRing.Used used = disk.request(IN, 0, length);
      assertEquals(IO_ERROR, status());
      assertEquals(0, used.written(), "the data before the status was not written");
      assertEquals(1, disk.count("errors_malformed"));
    }

    @Test
    void workWhereverTheDriverCutsTheBuffers() {
      Disk disk = disk();
      writeHeader(IN, 5);
      ring.descriptor(0, HEADER, 4, NEXT, 1)
          .descriptor(1, HEADER + 4, 11, NEXT, 2)
          .descriptor(2, HEADER + 15, 1, NEXT, 3)
          .descriptor(3, DATA, 100, NEXT | WRITE, 4)
          .descriptor(4, DATA + 0x1000, 413, WRITE, 0); // 412 of data, and the status
      disk.submit(0);
      assertArrayEquals(fileBytes(5 * 512, 5 * 512 + 100), guestBytes(DATA, 100));
      byte[] rest = guestBytes(DATA + 0x1000, 413);
      assertArrayEquals(fileBytes(5 * 512 + 100, 6 * 512), Arrays.copyOf(rest, 412));
      assertEquals(OK, rest[412]);
    }

    @Test
    void workThroughAnIndirectTable() {
      Disk disk = disk();
      writeHeader(IN, 1);
      long table = BUFFERS + 0x8000;
      ring.descriptor(table, 0, HEADER, 16, NEXT, 1)
          .descriptor(table, 1, DATA, 512, NEXT | WRITE, 2)
          .descriptor(table, 2, STATUS, 1, WRITE, 0)
          .descriptor(9, table, 48, INDIRECT, 0);
      assertEquals(new GuestRing.Used(9, 513), disk.submit(9));
      assertEquals(OK, status());
    }

    @Test
    void mayReachTheVeryEndOfRam() {
      Disk disk = disk();
      writeHeader(IN, 0);
      ring.descriptor(0, HEADER, 16, NEXT, 1)
          .descriptor(1, RAM_END - 1024, 1024, NEXT | WRITE, 2)
          .descriptor(2, STATUS, 1, WRITE, 0);
      disk.submit(0);
      assertEquals(OK, status());
      assertArrayEquals(fileBytes(0, 1024), guestBytes(RAM_END - 1024, 1024));
    }

    @Test
    void ofAFileThatBecameShorterFailAndTheQueueGoesOn() throws IOException {
      Disk disk = disk();
      Files.write(path, Arrays.copyOf(content, 1024));
      GuestRing.Used used = disk.request(IN, 1, 1024);
      assertEquals(IO_ERROR, status());
      assertEquals(0, used.written());
      assertEquals(1, disk.count("errors_input_output"));
      disk.request(IN, 0, 1024);
      assertEquals(OK, status());
    }
  }

  @Nested
  class Writes {
    @Test
    void reachTheFile() throws IOException {
      Disk disk = disk();
      byte[] data = new byte[1024];
      Arrays.fill(data, (byte) 0x5a);
      ring.memory().write(DATA, data);
      GuestRing.Used used = disk.request(OUT, 7, 1024);
      assertEquals(OK, status());
      assertEquals(1, used.written());
      byte[] file = Files.readAllBytes(path);
      assertArrayEquals(data, Arrays.copyOfRange(file, 7 * 512, 9 * 512));
      assertArrayEquals(fileBytes(0, 7 * 512), Arrays.copyOf(file, 7 * 512));
      assertArrayEquals(fileBytes(9 * 512, BYTES), Arrays.copyOfRange(file, 9 * 512, BYTES));
      assertEquals(1024, disk.count("bytes_written"));
    }

    @Test
    void toAReadOnlyDiskAreRefused() throws IOException {
      Disk disk = disk(true);
      disk.request(OUT, 0, 512);
      assertEquals(IO_ERROR, status());
      assertEquals(1, disk.count("errors_read_only"));
      assertArrayEquals(content, Files.readAllBytes(path));
    }

    @Test
    void beyondTheCapacityDoNotGrowTheFile() throws IOException {
      Disk disk = disk();
      disk.request(OUT, SECTORS - 1, 1024);
      assertEquals(IO_ERROR, status());
      assertArrayEquals(content, Files.readAllBytes(path));
    }

    @Test
    void toAFullFileSystemFail() {
      Disk disk = new Disk(new RawFile(Fd.open("/dev/full", Fd.O_RDWR), BYTES), false);
      disk.request(OUT, 0, 512);
      assertEquals(IO_ERROR, status());
      assertEquals(1, disk.count("errors_no_space"));
    }

    @Test
    void areDurableOnFlush() {
      FakeLibc libc = new FakeLibc((function, arguments) -> null);
      Disk disk = new Disk(rawFile(libc), false);
      disk.request(OUT, 0, 512);
      assertFalse(libc.calls().contains("fdatasync"));
      GuestRing.Used used = disk.request(FLUSH, 0, 0);
      assertEquals(OK, status());
      assertEquals(1, used.written());
      assertEquals("fdatasync", libc.calls().getLast());
      assertEquals(1, disk.count("requests_flush"));
    }

    @Test
    void areDurableAtOnceForADriverThatDoesNotFlush() {
      FakeLibc libc = new FakeLibc((function, arguments) -> null);
      Disk disk = new Disk(rawFile(libc), false);
      disk.driver.initialize(disk.device.features() & ~BlockFeature.FLUSH);
      disk.request(OUT, 0, 512);
      assertEquals(OK, status());
      assertEquals(List.of("pwrite", "fdatasync"), libc.calls());
    }

    private RawFile rawFile(FakeLibc libc) {
      return new RawFile(
          libc.libc(), Fd.open(path.toString(), Fd.O_RDWR), null, DiskGeometry.ofFile(BYTES));
    }
  }

  @Nested
  class Requests {
    @Test
    void forTheIdBringIt() {
      Disk disk = disk();
      GuestRing.Used used = disk.request(GET_ID, 0, 20);
      assertEquals(OK, status());
      assertEquals(21, used.written());
      assertArrayEquals(Arrays.copyOf("disk0".getBytes(US_ASCII), 20), guestBytes(DATA, 20));
    }

    @ParameterizedTest
    @CsvSource({"0, 1", "19, 1", "20, 0", "21, 0"})
    void forTheIdNeedRoomForIt(long length, int expected) {
      Disk disk = disk();
      disk.request(GET_ID, 0, length);
      assertEquals(expected, status());
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 10, 12, 14, -1, 0x100})
    void ofUnknownTypeAreAnsweredSo(int type) {
      Disk disk = disk();
      disk.request(type, 0, 512);
      assertEquals(UNSUPPORTED, status());
      assertEquals(1, disk.count("requests_unsupported"));
      assertArrayEquals(new byte[512], guestBytes(DATA, 512));
    }

    /** One byte less, as many as it takes, one more: of the header, the data and the id. */
    @ParameterizedTest
    @CsvSource({
      "0, 15, 513, 1",
      "0, 16, 513, 0",
      "0, 17, 513, 0", // what follows the header of a read is nobody's
      "0, 16, 512, 1",
      "0, 16, 514, 1",
      "1, 15, 1, 1",
      "1, 527, 1, 1",
      "1, 528, 1, 0",
      "1, 529, 1, 1",
      "1, 528, 2, 0", // the status is the last byte
      "4, 15, 1, 1",
      "4, 16, 1, 0",
      "8, 16, 20, 1",
      "8, 16, 21, 0",
      "8, 16, 22, 0",
    })
    void withAFieldThatIsOffByOneAreTakenOrRefused(
        int type, long readable, long writable, int expected) {
      Disk disk = disk();
      writeHeader(type, 0);
      ring.descriptor(0, HEADER, readable, NEXT, 1).descriptor(1, DATA, writable, WRITE, 0);
      disk.submit(0);
      assertEquals(expected, ring.memory().getByte(DATA + writable - 1));
      assertEquals(expected, disk.count("errors_malformed"));
      assertGoesOn(disk);
    }

    @Test
    void withAHeaderThatIsTooShortFail() {
      Disk disk = disk();
      writeHeader(IN, 0);
      ring.descriptor(0, HEADER, 15, NEXT, 1).descriptor(1, STATUS, 1, WRITE, 0);
      assertEquals(new GuestRing.Used(0, 1), disk.submit(0));
      assertEquals(IO_ERROR, status());
      assertEquals(1, disk.count("errors_malformed"));
    }

    @Test
    void withoutRoomForAStatusAreReturned() {
      Disk disk = disk();
      writeHeader(IN, 0);
      ring.descriptor(0, HEADER, 16, 0, 0);
      assertEquals(new GuestRing.Used(0, 0), disk.submit(0));
      assertEquals(1, disk.count("errors_malformed"));
      assertGoesOn(disk);
    }

    @Test
    void withDataOutsideMemoryFail() {
      Disk disk = disk();
      writeHeader(IN, 0);
      ring.descriptor(0, HEADER, 16, NEXT, 1)
          .descriptor(1, RAM_END - 256, 512, NEXT | WRITE, 2)
          .descriptor(2, STATUS, 1, WRITE, 0);
      assertEquals(new GuestRing.Used(0, 0), disk.submit(0));
      assertEquals(IO_ERROR, status());
      assertEquals(1, disk.count("errors_descriptors"));
      assertGoesOn(disk);
    }

    @Test
    void withAStatusOutsideMemoryAreReturned() {
      Disk disk = disk();
      writeHeader(IN, 0);
      ring.descriptor(0, HEADER, 16, NEXT, 1)
          .descriptor(1, DATA, 512, NEXT | WRITE, 2)
          .descriptor(2, -1, 1, WRITE, 0);
      assertEquals(new GuestRing.Used(0, 0), disk.submit(0));
      assertEquals(1, disk.count("errors_descriptors"));
      assertGoesOn(disk);
    }

    @Test
    void withReadableAfterWritableFail() {
      Disk disk = disk();
      writeHeader(OUT, 0);
      ring.descriptor(0, STATUS, 1, NEXT | WRITE, 1).descriptor(1, HEADER, 16, 0, 0);
      assertEquals(new GuestRing.Used(0, 0), disk.submit(0));
      assertEquals(1, disk.count("errors_descriptors"));
      assertGoesOn(disk);
    }

    private void assertGoesOn(Disk disk) {
      disk.request(IN, 2, 512);
      assertEquals(OK, status());
      assertArrayEquals(fileBytes(1024, 1536), guestBytes(DATA, 512));
    }
  }

  @Nested
  class LifeCycle {
    @Test
    void resetWaitsForWhatIsInFlightAndNothingIsWrittenAfterIt() throws InterruptedException {
      CountDownLatch reading = new CountDownLatch(1);
      CountDownLatch goOn = new CountDownLatch(1);
      FakeLibc libc = new FakeLibc((function, arguments) -> stall(function, reading, goOn));
      Fd fd = Fd.open(path.toString(), Fd.O_RDWR);
      Disk disk = new Disk(new RawFile(libc.libc(), fd, null, DiskGeometry.ofFile(BYTES)), false);
      writeHeader(IN, 0);
      for (int head = 0; head < 6; head += 3) {
        ring.descriptor(head, HEADER, 16, NEXT, head + 1)
            .descriptor(head + 1, DATA, 512, NEXT | WRITE, head + 2)
            .descriptor(head + 2, STATUS, 1, WRITE, 0)
            .offer(head);
      }
      disk.notifier.signal();
      reading.await();

      Thread resetting = Thread.ofPlatform().start(disk.driver::reset);
      await().until(() -> resetting.getState() == Thread.State.BLOCKED);
      assertEquals(0, ring.usedIndex());
      assertEquals(0x0f, disk.transport.inspect().status(), "inspection does not wait");
      goOn.countDown();
      resetting.join();
      assertEquals(0, disk.driver.status());
      int usedAtReset = ring.usedIndex();
      assertTrue(usedAtReset <= 1, "the second request was not begun");
      assertEquals(0, disk.driver.read(Register.INTERRUPT_STATUS));

      disk.notifier.signal();
      disk.driver.reset();
      assertEquals(usedAtReset, ring.usedIndex());

      disk.driver.initialize(disk.device.features());
      disk.request(IN, 0, 512);
      assertEquals(OK, status());
    }

    private @Nullable Object stall(String function, CountDownLatch reading, CountDownLatch goOn) {
      if (function.equals("pread")) {
        reading.countDown();
        try {
          if (!goOn.await(20, SECONDS)) {
            throw new AssertionError("nobody let it go on");
          }
        } catch (InterruptedException e) {
          throw new AssertionError(e);
        }
      }
      return null;
    }

    @Test
    void notificationBeforeDriverOkConsumesNothing() {
      Disk disk = disk();
      ring.clear();
      disk.driver.negotiate(0);
      disk.driver.setUpQueue(0);
      writeHeader(IN, 0);
      ring.descriptor(0, HEADER, 16, NEXT, 1)
          .descriptor(1, DATA, 512, NEXT | WRITE, 2)
          .descriptor(2, STATUS, 1, WRITE, 0)
          .offer(0);
      long before = disk.transport.inspect().queues().getFirst().notifications();
      disk.notifier.signal();
      await().until(() -> disk.transport.inspect().queues().getFirst().notifications() > before);
      assertFalse(ring.hasUsed());

      disk.driver.ready();
      await().until(ring::hasUsed);
    }

    @Test
    void aStoppedQueueIsNotServed() {
      Disk disk = disk();
      disk.request(IN, 0, 512);
      disk.driver.write(Register.QUEUE_READY, 0);
      long before = disk.transport.inspect().queues().getFirst().notifications();
      ring.offer(0);
      disk.notifier.signal();
      await().until(() -> disk.transport.inspect().queues().getFirst().notifications() > before);
      assertFalse(ring.hasUsed());
    }

    /** Before DRIVER_OK and after it, in use or broken: the next activation begins at entry 0. */
    @Test
    void aResetStartsBothRingsAtTheirBeginning() {
      Disk disk = disk();
      disk.request(IN, 0, 512);
      disk.request(IN, 0, 512);
      ring.offer(64);
      disk.notifier.signal();
      await().until(() -> DeviceStatus.has(disk.driver.status(), DeviceStatus.NEEDS_RESET));
      disk.driver.negotiate(0);
      disk.driver.setUpQueue(0);
      disk.driver.initialize(0);
      assertEquals(new GuestRing.Used(0, 513), disk.request(IN, 0, 512));
      assertEquals(1, ring.usedIndex());
      assertEquals(new GuestRing.Used(0, 513), ring.used(0));
    }

    @ParameterizedTest
    @ValueSource(longs = {0, Virtqueue.EVENT_IDX, Virtqueue.INDIRECT_DESC})
    void negotiatedFeaturesCanDifferEachTime(long features) {
      Disk disk = disk();
      disk.request(IN, 0, 512);
      disk.driver.initialize(features);
      for (int i = 0; i < 200; i++) {
        disk.request(IN, i % SECTORS, 512);
        assertEquals(OK, status());
      }
    }

    @Test
    void anIllegalRingNeedsAResetAndOtherDevicesGoOn() {
      GuestRing otherRing = new GuestRing(64);
      EventFd otherNotifier = newNotifier();
      MmioTransport other =
          new MmioTransport(
              MmioPlan.X86_64.slot(1),
              new BlockDevice(
                  "b",
                  new RawFile(Fd.open(path.toString(), 0), BYTES),
                  Settings.simple(true, line -> {})),
              otherRing.memory(),
              interrupt,
              List.of(otherNotifier));
      owned.add(other);
      new GuestDriver(other, otherRing).initialize(0);

      Disk disk = disk();
      ring.offer(64);
      disk.notifier.signal();
      await().until(() -> DeviceStatus.has(disk.driver.status(), DeviceStatus.NEEDS_RESET));
      assertEquals(2, disk.driver.takeInterrupt());
      assertEquals(1, disk.count("illegal.ring"));

      otherRing.descriptor(0, HEADER, 16, NEXT, 1).descriptor(1, STATUS, 1, WRITE, 0).offer(0);
      otherNotifier.signal();
      await().until(otherRing::hasUsed);

      disk.driver.initialize(0);
      disk.request(IN, 0, 512);
      assertEquals(OK, status());
    }

    @Test
    void closeEndsTheThread() {
      Disk disk = disk();
      disk.request(IN, 0, 512);
      assertTrue(threads().contains("blk disk0"));
      disk.transport.close();
      assertFalse(threads().contains("blk disk0"));
    }

    private List<String> threads() {
      return Thread.getAllStackTraces().keySet().stream().map(Thread::getName).toList();
    }
  }
}
