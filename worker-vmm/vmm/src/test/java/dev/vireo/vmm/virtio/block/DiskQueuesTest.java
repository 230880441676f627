package dev.vireo.vmm.virtio.block;

import static dev.vireo.vmm.virtio.block.DiskGuest.FLUSH;
import static dev.vireo.vmm.virtio.block.DiskGuest.IN;
import static dev.vireo.vmm.virtio.block.DiskGuest.IO_ERROR;
import static dev.vireo.vmm.virtio.block.DiskGuest.OK;
import static dev.vireo.vmm.virtio.block.DiskGuest.OUT;
import static java.util.concurrent.TimeUnit.SECONDS;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.kenai.jffi.LastError;
import dev.vireo.linux.Fd;
import dev.vireo.vmm.backend.DiskGeometry;
import dev.vireo.vmm.backend.FakeLibc;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.backend.TokenBucket;
import dev.vireo.vmm.virtio.block.BlockDevice.Engine;
import dev.vireo.vmm.virtio.block.BlockDevice.Settings;
import dev.vireo.vmm.virtio.mmio.Register;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Disks of several queues, with limits, on hosts that fail. */
@Timeout(30)
class DiskQueuesTest {
  private static final int SECTORS = 64;
  private static final int BYTES = SECTORS * 512;
  private static final int QUEUES = 4;

  @TempDir Path directory;

  private final byte[] content = new byte[BYTES];
  private final List<String> log = new CopyOnWriteArrayList<>();
  private Path path;

  @BeforeEach
  void createDisk() throws IOException {
    for (int i = 0; i < BYTES; i++) {
      content[i] = (byte) (i / 512 + i);
    }
    path = Files.write(directory.resolve("disk.raw"), content);
  }

  private RawFile file(FakeLibc libc) {
    return new RawFile(
        libc.libc(), Fd.open(path.toString(), Fd.O_RDWR), null, DiskGeometry.ofFile(BYTES));
  }

  private DiskGuest guest(FakeLibc libc, int queues, RateLimiter limiter) {
    Settings settings = new Settings(false, queues, limiter, Engine.THREAD, log::add);
    return new DiskGuest(new BlockDevice("disk0", file(libc), settings));
  }

  private DiskGuest guest(int queues) {
    return guest(new FakeLibc((f, a) -> null), queues, RateLimiter.UNLIMITED);
  }

  private static byte[] nothing() {
    return new byte[0];
  }

  @Test
  void allQueuesServe() {
    try (DiskGuest guest = guest(QUEUES)) {
      assertEquals(QUEUES, guest.config(34, 2), "num_queues");
      for (int queue = 0; queue < QUEUES; queue++) {
        for (int slot = 0; slot < 8; slot++) {
          guest.submit(queue, slot, IN, queue * 8L + slot, nothing(), 512);
        }
      }
      for (int queue = 0; queue < QUEUES; queue++) {
        for (int i = 0; i < 8; i++) {
          int slot = guest.awaitUsed(queue);
          int sector = queue * 8 + slot;
          assertEquals(OK, guest.status(queue, slot));
          assertArrayEquals(
              Arrays.copyOfRange(content, sector * 512, (sector + 1) * 512),
              guest.data(queue, slot, 512));
        }
      }
      assertEquals(8L * QUEUES, guest.count("requests_read"));
      for (var queue : guest.transport.inspect().queues()) {
        assertEquals(8, queue.requests());
      }
    }
  }

  @Test
  void aSlowRequestHoldsUpItsOwnQueueAlone() {
    Stall stall = new Stall(1);
    try (DiskGuest guest = guest(stall.libc(), 2, RateLimiter.UNLIMITED)) {
      guest.submit(0, 0, FLUSH, 0, nothing(), 0);
      stall.awaitBegun();
      guest.submit(1, 0, IN, 0, nothing(), 512);
      guest.awaitUsed(1);
      assertFalse(guest.ring(0).hasUsed());
      stall.goOn();
      guest.awaitUsed(0);
    }
  }

  @Test
  void withoutMqThereIsTheFirstQueueAlone() {
    try (DiskGuest guest = guest(2)) {
      guest.initialize(guest.device().features() & ~BlockFeature.MQ);
      guest.submit(1, 0, IN, 0, nothing(), 512);
      assertEquals(OK, guest.read(0, 512));
      assertFalse(guest.ring(1).hasUsed());
      guest.initialize(guest.device().features());
      guest.submit(1, 0, IN, 0, nothing(), 512);
      guest.awaitUsed(1);
    }
  }

  @Test
  void aQueueThatIsStoppedLeavesTheOthersAlone() {
    try (DiskGuest guest = guest(2)) {
      guest.driver.write(Register.QUEUE_SEL, 1);
      guest.driver.write(Register.QUEUE_READY, 0);
      guest.submit(1, 0, IN, 0, nothing(), 512);
      assertEquals(OK, guest.read(0, 512));
      assertFalse(guest.ring(1).hasUsed());
    }
  }

  @Test
  void aResetWaitsForAllQueues() throws InterruptedException {
    Stall stall = new Stall(QUEUES);
    try (DiskGuest guest = guest(stall.libc(), QUEUES, RateLimiter.UNLIMITED)) {
      for (int queue = 0; queue < QUEUES; queue++) {
        guest.submit(queue, 0, FLUSH, 0, nothing(), 0);
      }
      stall.awaitBegun();
      Thread resetting = Thread.ofPlatform().start(guest.driver::reset);
      await().until(() -> resetting.getState() == Thread.State.BLOCKED);
      stall.goOn();
      resetting.join();
      assertEquals(0, guest.driver.status());
      int[] used = new int[QUEUES];
      for (int queue = 0; queue < QUEUES; queue++) {
        used[queue] = guest.ring(queue).usedIndex();
        guest.notifyOf(queue);
      }
      guest.driver.reset();
      for (int queue = 0; queue < QUEUES; queue++) {
        assertEquals(used[queue], guest.ring(queue).usedIndex());
      }
    }
  }

  @Test
  void aQueueThatIsResetAloneWaitsForItsTransferAndIsServedAgain() throws InterruptedException {
    Stall stall = new Stall(1);
    try (DiskGuest guest = guest(stall.libc(), 2, RateLimiter.UNLIMITED)) {
      guest.submit(1, 0, FLUSH, 0, nothing(), 0);
      guest.submit(1, 1, IN, 0, nothing(), 512);
      stall.awaitBegun();
      Thread resetting = Thread.ofPlatform().start(() -> guest.driver.resetQueue(1));
      await().until(() -> resetting.getState() == Thread.State.BLOCKED);
      assertEquals(OK, guest.read(0, 512), "the other queue goes on");
      stall.goOn();
      resetting.join();
      guest.assertServesAnew(1);
      assertArrayEquals(Arrays.copyOf(content, 512), guest.data(1, 0, 512));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 17, -1})
  void thereAreNoOtherNumbersOfQueues(int queues) {
    assertThrows(
        IllegalArgumentException.class,
        () -> new Settings(false, queues, RateLimiter.UNLIMITED, Engine.THREAD, log::add));
  }

  /** Of both directions and all queues together; what is not a transfer is an operation. */
  @ParameterizedTest
  @CsvSource({"true", "false"})
  void theRateLimitHoldsForBytesAndOperations(boolean ofBytes) {
    AtomicLong nanos = new AtomicLong();
    TokenBucket bucket = new TokenBucket(ofBytes ? 1024 : 2, 1, nanos::get);
    RateLimiter limiter = ofBytes ? new RateLimiter(bucket, null) : new RateLimiter(null, bucket);
    try (DiskGuest guest = guest(new FakeLibc((f, a) -> null), 2, limiter)) {
      assertEquals(OK, guest.write(0, new byte[512]));
      guest.submit(1, 0, IN, 0, nothing(), 512);
      guest.awaitUsed(1);
      assertEquals(0, guest.count("rate_limited"), "nothing waits");
      guest.submit(0, 0, IN, 0, nothing(), 512);
      await().until(() -> guest.count("rate_limited") > 2);
      assertFalse(guest.ring(0).hasUsed());
      nanos.addAndGet(1_000_000_000);
      guest.awaitUsed(0);
    }
  }

  @Test
  void aDiskThatShrinksUnderTheGuestFailsWhatIsGoneAndIsLoggedOnce() throws IOException {
    try (DiskGuest guest = guest(1)) {
      Files.write(path, Arrays.copyOf(content, 1024));
      for (int i = 0; i < 3; i++) {
        assertEquals(IO_ERROR, guest.read(2 + i, 512));
      }
      assertEquals(OK, guest.read(1, 512));
      assertEquals(3, guest.count("errors_input_output"));
      assertEquals(
          List.of("disk disk0: EIO, input/output error (5); from now on such errors are counted"),
          log);
    }
  }

  @ParameterizedTest
  @CsvSource({"28, errors_no_space, ENOSPC", "5, errors_input_output, EIO"})
  void anErrorOfTheHostIsTheGuestsIoErrorAndLoggedOnce(int errno, String counter, String name) {
    boolean[] failing = {true};
    FakeLibc libc =
        new FakeLibc((function, arguments) -> {
          if (!failing[0] || !List.of("pwrite", "pread", "fdatasync").contains(function)) {
            return null;
          }
          LastError.getInstance().set(errno);
          if (function.equals("fdatasync")) {
            return -1;
          }
          return -1L;
        });
    try (DiskGuest guest = guest(libc, 1, RateLimiter.UNLIMITED)) {
      for (int i = 0; i < 2; i++) {
        assertEquals(IO_ERROR, guest.write(0, new byte[512]));
        assertEquals(IO_ERROR, guest.read(0, 512));
        assertEquals(IO_ERROR, guest.request(FLUSH, 0, nothing(), 0));
      }
      assertEquals(6, guest.count(counter));
      assertEquals(1, log.size());
      assertTrue(log.getFirst().startsWith("disk disk0: " + name), log.getFirst());
      failing[0] = false;
      assertEquals(OK, guest.write(0, new byte[512]));
    }
  }

  /** Holds flushes until it is told to let them go on. */
  private static final class Stall {
    private final CountDownLatch begun;
    private final CountDownLatch goOn = new CountDownLatch(1);

    Stall(int requests) {
      begun = new CountDownLatch(requests);
    }

    FakeLibc libc() {
      return new FakeLibc((function, arguments) -> stall(function));
    }

    private @Nullable Object stall(String function) {
      if (function.equals("fdatasync")) {
        begun.countDown();
        await(goOn);
      }
      return null;
    }

    void awaitBegun() {
      await(begun);
    }

    void goOn() {
      goOn.countDown();
    }

    private static void await(CountDownLatch latch) {
      try {
        if (!latch.await(20, SECONDS)) {
          throw new AssertionError("nothing happened");
        }
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
    }
  }

  @Test
  void writesOfSeveralQueuesReachTheFile() throws IOException {
    try (DiskGuest guest = guest(QUEUES)) {
      for (int queue = 0; queue < QUEUES; queue++) {
        byte[] data = new byte[1024];
        Arrays.fill(data, (byte) (0x70 + queue));
        guest.submit(queue, 0, OUT, queue * 2L, data, 0);
        Arrays.fill(content, queue * 1024, (queue + 1) * 1024, (byte) (0x70 + queue));
      }
      for (int queue = 0; queue < QUEUES; queue++) {
        assertEquals(OK, guest.status(queue, guest.awaitUsed(queue)));
      }
    }
    assertArrayEquals(content, Files.readAllBytes(path));
  }
}
