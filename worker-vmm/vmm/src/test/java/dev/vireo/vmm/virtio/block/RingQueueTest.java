package dev.vireo.vmm.virtio.block;

import static dev.vireo.vmm.virtio.block.DiskGuest.FLUSH;
import static dev.vireo.vmm.virtio.block.DiskGuest.IN;
import static dev.vireo.vmm.virtio.block.DiskGuest.IO_ERROR;
import static dev.vireo.vmm.virtio.block.DiskGuest.OK;
import static dev.vireo.vmm.virtio.block.DiskGuest.OUT;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.kenai.jffi.LastError;
import com.sun.management.ThreadMXBean;
import dev.vireo.catalog.BackEnd;
import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.Linux;
import dev.vireo.vmm.backend.DiskGeometry;
import dev.vireo.vmm.backend.FakeLibc;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.backend.TokenBucket;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.IoVector;
import dev.vireo.vmm.virtio.DeviceStatus;
import dev.vireo.vmm.virtio.block.BlockDevice.Engine;
import dev.vireo.vmm.virtio.block.BlockDevice.Settings;
import dev.vireo.vmm.virtio.mmio.Register;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.BufferPoolMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A disk whose transfers go through io_uring, with this machine's kernel. */
@Timeout(60)
class RingQueueTest {
  private static final int SECTORS = 256;
  private static final int BYTES = SECTORS * 512;
  private static final int SLOTS = 40;

  @TempDir Path directory;

  private final byte[] content = new byte[BYTES];
  private final List<String> log = new CopyOnWriteArrayList<>();
  private Path path;

  @BeforeEach
  void createDisk() throws IOException {
    for (int i = 0; i < BYTES; i++) {
      content[i] = (byte) (i / 512 * 3 + i);
    }
    path = Files.write(directory.resolve("disk.raw"), content);
  }

  private DiskGuest guest(FakeLibc libc, int queues, RateLimiter limiter) {
    Fd fd = Fd.open(path.toString(), Fd.O_RDWR);
    RawFile file = new RawFile(libc.libc(), fd, null, DiskGeometry.ofFile(BYTES));
    return guest(file, new Settings(false, queues, limiter, Engine.IO_URING, log::add));
  }

  private DiskGuest guest() {
    return guest(new FakeLibc((f, a) -> null), 1, RateLimiter.UNLIMITED);
  }

  private DiskGuest guest(RawFile file, Settings settings) {
    DiskGuest guest = new DiskGuest(new BlockDevice("disk0", file, settings));
    if (guest.device().backEnd() != BackEnd.BLK_IO_URING) {
      guest.close();
      Assumptions.abort("no io_uring here: " + log);
    }
    return guest;
  }

  private static byte[] nothing() {
    return new byte[0];
  }

  private byte[] sector(int sector) {
    return Arrays.copyOfRange(content, sector * 512, (sector + 1) * 512);
  }

  @Test
  void manyReadsAtOnceBringTheirOwnSectors() {
    FakeLibc libc = new FakeLibc((f, a) -> null);
    try (DiskGuest guest = guest(libc, 1, RateLimiter.UNLIMITED)) {
      for (int round = 0; round < 50; round++) {
        for (int slot = 0; slot < SLOTS; slot++) {
          guest.submit(0, slot, IN, (round + slot * 5) % SECTORS, nothing(), 512);
        }
        Set<Integer> answered = new HashSet<>();
        for (int i = 0; i < SLOTS; i++) {
          int slot = guest.awaitUsed(0);
          assertTrue(answered.add(slot), "answered twice");
          assertEquals(OK, guest.status(0, slot));
          assertArrayEquals(sector((round + slot * 5) % SECTORS), guest.data(0, slot, 512));
        }
      }
      assertEquals(50L * SLOTS, guest.count("requests_read"));
      assertEquals(50L * SLOTS * 512, guest.count("bytes_read"));
      assertFalse(libc.calls().contains("pread"), "the ring did it");
    }
  }

  @Test
  void whatWasWrittenAndFlushedIsInTheFile() throws IOException {
    try (DiskGuest guest = guest()) {
      for (int slot = 0; slot < SLOTS; slot++) {
        byte[] data = new byte[1024];
        Arrays.fill(data, (byte) slot);
        System.arraycopy(data, 0, content, slot * 1024, 1024);
        guest.submit(0, slot, OUT, slot * 2L, data, 0);
      }
      for (int i = 0; i < SLOTS; i++) {
        assertEquals(OK, guest.status(0, guest.awaitUsed(0)));
      }
      assertEquals(OK, guest.request(FLUSH, 0, nothing(), 0));
      assertEquals(1, guest.count("requests_flush"));
      assertEquals(SLOTS * 1024L, guest.count("bytes_written"));
    }
    assertArrayEquals(content, Files.readAllBytes(path));
  }

  @Test
  void errorsAreTheRequestsOwn() {
    try (DiskGuest guest = guest()) {
      assertEquals(IO_ERROR, guest.read(SECTORS, 512));
      assertEquals(OK, guest.read(SECTORS - 1, 512));
      assertEquals(IO_ERROR, guest.read(0, 511));
      assertEquals(2, guest.request(99, 0, nothing(), 512));
      assertEquals(OK, guest.read(SECTORS, 0));
      assertEquals(OK, guest.write(0, nothing()));
    }
  }

  @Test
  void aDiskThatShrinksFailsWhatIsGoneAndGivesWhatIsThere() throws IOException {
    try (DiskGuest guest = guest()) {
      Files.write(path, Arrays.copyOf(content, 1536));
      assertEquals(IO_ERROR, guest.read(3, 512));
      assertEquals(IO_ERROR, guest.read(2, 1024), "ends within");
      assertEquals(OK, guest.read(2, 512));
      assertArrayEquals(sector(2), guest.data(0, 0, 512));
      assertEquals(2, guest.count("errors_input_output"));
      assertEquals(1, log.size());
    }
  }

  @Test
  void aFullFileSystemFailsTheWrite() {
    RawFile file = new RawFile(Fd.open("/dev/full", Fd.O_RDWR), null, DiskGeometry.ofFile(BYTES));
    Settings settings = new Settings(false, 1, RateLimiter.UNLIMITED, Engine.IO_URING, log::add);
    try (DiskGuest guest = guest(file, settings)) {
      assertEquals(IO_ERROR, guest.write(0, new byte[512]));
      assertEquals(1, guest.count("errors_no_space"));
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aResetLeavesNothingInFlight(boolean byReset) {
    try (DiskGuest guest = guest(new FakeLibc((f, a) -> null), 2, RateLimiter.UNLIMITED)) {
      for (int round = 0; round < 100; round++) {
        for (int slot = 0; slot < SLOTS; slot++) {
          guest.submit(slot % 2, slot, IN, slot, nothing(), 512);
        }
        if (byReset) {
          guest.driver.reset();
        } else {
          guest.driver.write(Register.QUEUE_SEL, 0);
          guest.driver.write(Register.QUEUE_READY, 0);
          guest.driver.write(Register.QUEUE_SEL, 1);
          guest.driver.write(Register.QUEUE_READY, 0);
        }
        int[] used = {guest.ring(0).usedIndex(), guest.ring(1).usedIndex()};
        guest.notifyOf(0);
        guest.notifyOf(1);
        guest.driver.reset();
        assertEquals(used[0], guest.ring(0).usedIndex());
        assertEquals(used[1], guest.ring(1).usedIndex());
        guest.initialize(guest.device().features());
        assertEquals(OK, guest.read(round, 512));
        assertArrayEquals(sector(round), guest.data(0, 0, 512));
      }
    }
  }

  @Test
  void anIllegalRingNeedsAResetAndAfterItTheDiskWorks() {
    try (DiskGuest guest = guest()) {
      for (int slot = 0; slot < SLOTS; slot++) {
        guest.submit(0, slot, IN, slot, nothing(), 512);
      }
      guest.ring(0).offer(128);
      guest.notifyOf(0);
      await().until(() -> DeviceStatus.has(guest.driver.status(), DeviceStatus.NEEDS_RESET));
      guest.initialize(guest.device().features());
      assertEquals(OK, guest.read(7, 512));
      assertArrayEquals(sector(7), guest.data(0, 0, 512));
    }
  }

  /** Reads of it stay under way until somebody writes. */
  private Fd pipe() throws IOException, InterruptedException {
    Path pipe = directory.resolve("pipe");
    assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
    return Fd.open(pipe.toString(), Fd.O_RDWR);
  }

  private DiskGuest guestOn(Fd pipe) {
    RawFile file = new RawFile(pipe.duplicate(), null, DiskGeometry.ofFile(BYTES));
    return guest(file, new Settings(false, 1, RateLimiter.UNLIMITED, Engine.IO_URING, log::add));
  }

  @Test
  void aResetWaitsForWhatIsUnderWay() throws IOException, InterruptedException {
    try (Fd host = pipe();
        DiskGuest guest = guestOn(host)) {
      guest.submit(0, 0, IN, 0, nothing(), 512);
      await().until(() -> guest.count("requests_read") == 1);
      Thread resetting = Thread.ofPlatform().start(guest.driver::reset);
      await().until(() -> resetting.getState() == Thread.State.WAITING);
      assertEquals(0x0f, guest.transport.inspect().status(), "not before it is done");
      write(host, 512);
      resetting.join();
      assertEquals(0, guest.driver.status());
      int used = guest.ring(0).usedIndex();
      guest.notifyOf(0);
      guest.driver.reset();
      assertEquals(used, guest.ring(0).usedIndex());
    }
  }

  @Test
  void aQueueThatIsResetAloneWaitsForWhatIsUnderWayAndIsServedAgain() throws Exception {
    try (Fd host = pipe();
        DiskGuest guest = guestOn(host)) {
      guest.submit(0, 0, IN, 0, nothing(), 512);
      await().until(() -> guest.count("requests_read") == 1);
      Thread resetting = Thread.ofPlatform().start(() -> guest.driver.resetQueue(0));
      await().until(() -> resetting.getState() == Thread.State.WAITING);
      write(host, 512);
      resetting.join();
      write(host, 512); // For what is read anew.
      guest.assertServesAnew(0);
    }
  }

  @Test
  void aQueueThatIsResetAloneLeavesNothingInFlight() {
    try (DiskGuest guest = guest(new FakeLibc((f, a) -> null), 2, RateLimiter.UNLIMITED)) {
      for (int round = 0; round < 100; round++) {
        for (int slot = 0; slot < SLOTS; slot++) {
          guest.submit(slot % 2, slot, IN, slot, nothing(), 512);
        }
        int reset = round % 2;
        guest.driver.resetQueue(reset);
        int used = guest.ring(reset).usedIndex();
        guest.notifyOf(reset);
        for (int i = 0; i < SLOTS / 2; i++) {
          assertEquals(OK, guest.status(1 - reset, guest.awaitUsed(1 - reset)));
        }
        assertEquals(used, guest.ring(reset).usedIndex());
        guest.assertServesAnew(reset);
        assertArrayEquals(sector(0), guest.data(reset, 0, 512));
      }
    }
  }

  @Test
  void theSameHeadWhileItsRequestIsUnderWayNeedsAReset() throws IOException, InterruptedException {
    try (Fd host = pipe();
        DiskGuest guest = guestOn(host)) {
      guest.submit(0, 0, IN, 0, nothing(), 512);
      guest.submit(0, 0, IN, 0, nothing(), 512);
      await().until(() -> DeviceStatus.has(guest.driver.status(), DeviceStatus.NEEDS_RESET));
      assertEquals(1, guest.count("illegal.ring"));
      write(host, 512); // What is under way ends, unheard.
      guest.initialize(guest.device().features());
      guest.submit(0, 0, IN, 0, nothing(), 512);
      write(host, 512);
      guest.awaitUsed(0);
      assertEquals(OK, guest.status(0, 0));
    }
  }

  @Test
  void aRingWhoseMemoryIsUnpluggedDoesNotHoldAResetUp() {
    try (DiskGuest guest = guest()) {
      guest.driver.reset();
      guest.initializeInPluggable();
      assertEquals(OK, guest.read(0, 512));
      guest.pluggable.unplug(0, 1);
      assertTimeoutPreemptively(Duration.ofSeconds(10), guest.driver::reset);
      guest.initializeInPluggable();
      assertEquals(OK, guest.read(7, 512));
      assertArrayEquals(sector(7), guest.data(0, 0, 512));
    }
  }

  @Test
  void aRingThatIsUnpluggedDuringARequestNeedsAReset() throws IOException, InterruptedException {
    try (Fd host = pipe();
        DiskGuest guest = guestOn(host)) {
      guest.driver.reset();
      guest.initializeInPluggable();
      guest.submit(0, 0, IN, 0, nothing(), 512);
      await().until(() -> guest.count("requests_read") == 1);
      guest.pluggable.unplug(0, 1);
      write(host, 512);
      checkThatItNeedsAResetAndWorksAfterIt(guest, host);
    }
  }

  @Test
  void aStatusThatIsUnpluggedDuringARequestNeedsAReset() throws IOException, InterruptedException {
    try (Fd host = pipe();
        DiskGuest guest = guestOn(host)) {
      guest.pluggable.plug(1, 1);
      guest.submitReadWithStatusInPluggable();
      await().until(() -> guest.count("requests_read") == 1);
      guest.pluggable.unplug(1, 1);
      write(host, 512);
      checkThatItNeedsAResetAndWorksAfterIt(guest, host);
    }
  }

  private static void checkThatItNeedsAResetAndWorksAfterIt(DiskGuest guest, Fd host) {
    await().until(() -> DeviceStatus.has(guest.driver.status(), DeviceStatus.NEEDS_RESET));
    assertEquals(1, guest.count("illegal.ring"));
    assertTimeoutPreemptively(Duration.ofSeconds(10), guest.driver::reset);
    guest.initializeInPluggable();
    guest.submit(0, 0, IN, 0, nothing(), 512);
    write(host, 512);
    guest.awaitUsed(0);
    assertEquals(OK, guest.status(0, 0));
  }

  /** Of which a VMM has as much as it has heap: 16 queues, all full, would have used it up. */
  @Test
  void requestsUnderWayTakeNoneOfTheMemoryForBuffers() throws IOException, InterruptedException {
    try (Fd host = pipe();
        DiskGuest guest = guestOn(host)) {
      long before = directBytes();
      for (int slot = 0; slot < SLOTS; slot++) {
        guest.submit(0, slot, IN, 0, nothing(), 512);
      }
      await().until(() -> guest.count("requests_read") == SLOTS);
      long taken = directBytes() - before;
      write(host, SLOTS * 512);
      assertTrue(taken < SLOTS * 1024, taken + " bytes");
    }
  }

  /** All queues at once. A guest chooses how long its chains are; the VMM has 8 MiB of heap. */
  @Test
  void longerAndLongerChainsTakeNoHeap() {
    Fd fd = Fd.open(path.toString(), Fd.O_RDWR);
    RawFile file = new RawFile(fd, null, DiskGeometry.ofFile(BYTES)); // No fake, which takes some.
    int queues = BlockDevice.MAX_QUEUES;
    try (DiskGuest guest =
        guest(
            file, new Settings(false, queues, RateLimiter.UNLIMITED, Engine.IO_URING, log::add))) {
      long before = 0;
      int rounds = 0;
      for (int buffers = 3; buffers <= DiskGuest.RING_SIZE; buffers = 2 * buffers - 1) {
        for (int queue = 0; queue < queues; queue++) {
          guest.submitIndirectReads(queue, buffers);
        }
        for (int queue = 0; queue < queues; queue++) {
          guest.awaitIndirectReads(queue, sector(0));
        }
        if (rounds++ == 0) {
          before = bytesAllocatedByTheDisk();
        }
      }
      long perRequest =
          (bytesAllocatedByTheDisk() - before) / ((rounds - 1L) * queues * DiskGuest.RING_SIZE);
      assertTrue(perRequest < 8, perRequest + " bytes a request, in " + rounds + " rounds");
    }
  }

  private static long bytesAllocatedByTheDisk() {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long sum = 0;
    for (Thread thread : Thread.getAllStackTraces().keySet()) {
      if (thread.getName().startsWith("blk disk0")) {
        sum += threads.getThreadAllocatedBytes(thread.threadId());
      }
    }
    return sum;
  }

  private static long directBytes() {
    for (var pool : ManagementFactory.getPlatformMXBeans(BufferPoolMXBean.class)) {
      if (pool.getName().equals("direct")) {
        return pool.getMemoryUsed();
      }
    }
    throw new AssertionError("no such pool");
  }

  /** As when there is no more memory. */
  @ParameterizedTest
  @EnumSource(names = {"THREAD", "IO_URING"})
  void anErrorOfTheBackEndNeedsAReset(Engine engine) {
    AtomicBoolean failing = new AtomicBoolean();
    FakeLibc libc =
        new FakeLibc((function, arguments) -> failed(failing.get(), function, arguments));
    Fd fd = Fd.open(path.toString(), Fd.O_RDWR);
    RawFile file = new RawFile(libc.libc(), fd, null, DiskGeometry.ofFile(BYTES));
    Settings settings = new Settings(false, 1, RateLimiter.UNLIMITED, engine, log::add);
    try (DiskGuest guest = new DiskGuest(new BlockDevice("disk0", file, settings))) {
      assertEquals(OK, guest.read(0, 512));
      failing.set(true);
      guest.submit(0, 0, IN, 0, nothing(), 512);
      await().until(() -> DeviceStatus.has(guest.driver.status(), DeviceStatus.NEEDS_RESET));
      assertEquals(1, guest.count("illegal.device_failure"));
      failing.set(false);
      assertTimeoutPreemptively(Duration.ofSeconds(10), guest.driver::reset);
      guest.initialize(guest.device().features());
      if (guest.device().backEnd() == BackEnd.BLK_FILE) {
        assertEquals(OK, guest.read(0, 512));
      } else { // Of a ring that fails nobody knows what is still under way.
        assertTrue(DeviceStatus.has(guest.driver.status(), DeviceStatus.NEEDS_RESET));
      }
    }
  }

  private static @Nullable Object failed(boolean failing, String function, Object[] arguments) {
    if (failing
        && (function.equals("pread")
            || (function.equals("syscall") && (long) arguments[0] == 426))) {
      throw new InternalError("as a test wants");
    }
    return null;
  }

  /** What comes in parts is read to its end. */
  @Test
  void aShortReadGoesOn() throws IOException, InterruptedException {
    try (Fd host = pipe();
        DiskGuest guest = guestOn(host)) {
      guest.submit(0, 0, IN, 0, nothing(), 512);
      write(host, 100);
      await().until(() -> guest.data(0, 0, 100)[99] == 7);
      assertFalse(guest.ring(0).hasUsed());
      write(host, 412);
      guest.awaitUsed(0);
      byte[] sevens = new byte[512];
      Arrays.fill(sevens, (byte) 7);
      assertArrayEquals(sevens, guest.data(0, 0, 512));
    }
  }

  private static void write(Fd host, int count) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(count).fill((byte) 7);
      assertEquals(count, Linux.libc().write(host.number(), bytes.address(), count));
    }
  }

  @Test
  void theRateLimitIsWaitedFor() {
    AtomicLong nanos = new AtomicLong();
    TokenBucket one = new TokenBucket(1, 1, nanos::get);
    try (DiskGuest guest = guest(new FakeLibc((f, a) -> null), 1, new RateLimiter(null, one))) {
      assertEquals(OK, guest.read(0, 512));
      assertEquals(0, guest.count("rate_limited"), "nothing waits");
      guest.submit(0, 0, IN, 0, nothing(), 512);
      await().until(() -> guest.count("rate_limited") > 0);
      assertFalse(guest.ring(0).hasUsed());
      nanos.addAndGet(2_000_000_000);
      guest.awaitUsed(0);
    }
  }

  @Test
  void whereItIsRefusedThreadsServeAndItIsSaidOnce() {
    FakeLibc libc = new FakeLibc((function, arguments) -> refused(function, arguments));
    Fd fd = Fd.open(path.toString(), Fd.O_RDWR);
    RawFile file = new RawFile(libc.libc(), fd, null, DiskGeometry.ofFile(BYTES));
    Settings settings = new Settings(false, 2, RateLimiter.UNLIMITED, Engine.IO_URING, log::add);
    try (DiskGuest guest = new DiskGuest(new BlockDevice("disk0", file, settings))) {
      assertEquals(BackEnd.BLK_FILE, guest.device().backEnd());
      assertEquals(OK, guest.read(1, 512));
      assertArrayEquals(sector(1), guest.data(0, 0, 512));
      assertEquals(1, log.size());
      assertTrue(log.getFirst().contains("EPERM"), log.getFirst());
    }
  }

  private static @Nullable Object refused(String function, Object[] arguments) {
    if (!function.equals("syscall") || (long) arguments[0] != 425) {
      return null;
    }
    LastError.getInstance().set(Errno.EPERM);
    return -1L;
  }

  /** Offsets, lengths and addresses that O_DIRECT does not take go through the page cache. */
  @ParameterizedTest
  @EnumSource(names = {"THREAD", "IO_URING"})
  void aDirectDiskTakesWhatIsNotAlignedToo(Engine engine) throws IOException {
    Fd direct = Fd.open(path.toString(), Fd.O_RDWR | Fd.O_DIRECT);
    Fd cached = Fd.open(path.toString(), Fd.O_RDWR);
    DiskGeometry pages = new DiskGeometry(BYTES, 4096, 4096, 4096, false, true);
    RawFile file = new RawFile(direct, cached, pages);
    Settings settings = new Settings(false, 1, RateLimiter.UNLIMITED, engine, log::add);
    try (DiskGuest guest = new DiskGuest(new BlockDevice("disk0", file, settings))) {
      assertEquals(4096, guest.config(20, 4), "blk_size");
      byte[] data = new byte[1024];
      Arrays.fill(data, (byte) 0x33);
      assertEquals(OK, guest.write(5, data));
      System.arraycopy(data, 0, content, 5 * 512, 1024);
      for (int sector = 0; sector < 32; sector++) {
        assertEquals(OK, guest.read(sector, 512));
        assertArrayEquals(sector(sector), guest.data(0, 0, 512));
      }
      assertEquals("no", guest.device().attributes().get("page_cache"));
    }
    assertArrayEquals(content, Files.readAllBytes(path));
  }

  @ParameterizedTest
  @CsvSource({
    "0, 0, 4096, true",
    "0, 4096, 8192, true",
    "512, 0, 4096, false", // the offset
    "0, 512, 4096, false", // the address
    "0, 0, 512, false", // the length
  })
  void onlyWholeBlocksInAlignedMemoryAreDirect(
      long offset, long address, long length, boolean expected) {
    Fd direct = Fd.open(path.toString(), Fd.O_RDWR | Fd.O_DIRECT);
    Fd cached = Fd.open(path.toString(), Fd.O_RDWR);
    DiskGeometry pages = new DiskGeometry(BYTES, 4096, 4096, 4096, false, true);
    try (RawFile file = new RawFile(direct, cached, pages)) {
      GuestMemory memory =
          new GuestMemory(
              List.of(new GuestMemory.Region(0, Arena.ofAuto().allocate(0x10000, 4096))));
      IoVector vector = new IoVector(memory, 2);
      vector.add(address, length);
      vector.add(0x8000, 4096);
      assertEquals(expected ? direct.number() : cached.number(), file.number(vector, offset));
    }
  }

  @Test
  void closeEndsTheThread() {
    DiskGuest guest = guest();
    guest.read(0, 512);
    assertTrue(threads().contains("blk disk0"));
    guest.close();
    assertFalse(threads().contains("blk disk0"));
  }

  private static List<String> threads() {
    return Thread.getAllStackTraces().keySet().stream().map(Thread::getName).toList();
  }
}
