package dev.vireo.vmm.virtio.rng;

import static dev.vireo.vmm.virtio.queue.GuestRing.BUFFERS;
import static dev.vireo.vmm.virtio.queue.GuestRing.HIGH_RAM;
import static dev.vireo.vmm.virtio.queue.GuestRing.INDIRECT;
import static dev.vireo.vmm.virtio.queue.GuestRing.NEXT;
import static dev.vireo.vmm.virtio.queue.GuestRing.RAM_END;
import static dev.vireo.vmm.virtio.queue.GuestRing.WRITE;
import static java.time.Duration.ofMillis;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.kenai.jffi.LastError;
import dev.vireo.catalog.MmioPlan;
import dev.vireo.linux.Errno;
import dev.vireo.linux.EventFd;
import dev.vireo.vmm.backend.FakeLibc;
import dev.vireo.vmm.backend.HostRandom;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.TokenBucket;
import dev.vireo.vmm.virtio.DeviceStatus;
import dev.vireo.vmm.virtio.mmio.GuestDriver;
import dev.vireo.vmm.virtio.mmio.MmioTransport;
import dev.vireo.vmm.virtio.mmio.Register;
import dev.vireo.vmm.virtio.queue.GuestRing;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A whole device, from a guest's registers and ring to the host's random numbers. */
@Timeout(30)
class EntropyDeviceTest {
  private static final int MAX = EntropyRequests.MAX_BYTES;

  private final GuestRing ring = new GuestRing(64);
  private final EventFd interrupt = EventFd.nonBlocking();
  private final EventFd notifier = EventFd.blocking();
  private final AtomicLong nanoTime = new AtomicLong();
  private final EntropyDevice device =
      new EntropyDevice(
          "entropy",
          new HostRandom(libc().libc()),
          new RateLimiter(new TokenBucket(100_000, 1_000_000_000, nanoTime::get), null));
  private final MmioTransport transport =
      new MmioTransport(
          MmioPlan.X86_64.slot(0), device, ring.memory(), interrupt, List.of(notifier));
  private final GuestDriver driver = new GuestDriver(transport, ring);

  /** What the host's kernel is to give next time: bytes, a negative error number, or null. */
  private volatile @Nullable Long answer;

  /** Each byte of it is 0x5a, and it answers as a test wants. */
  private FakeLibc libc() {
    return new FakeLibc((function, arguments) -> {
      if (!function.equals("getrandom")) {
        return null;
      }
      Long next = answer;
      answer = null;
      long given = next == null ? (long) arguments[1] : next;
      if (given < 0) {
        LastError.getInstance().set((int) -given);
        return -1L;
      }
      MemorySegment.ofAddress((long) arguments[0]).reinterpret(given).fill((byte) 0x5a);
      return given;
    });
  }

  EntropyDeviceTest() {
    driver.initialize(device.features());
  }

  @AfterEach
  void close() {
    transport.close();
    notifier.close();
    interrupt.close();
  }

  private GuestRing.Used submit(int head) {
    ring.offer(head);
    notifier.signal();
    await().pollDelay(Duration.ZERO).pollInterval(ofMillis(1)).until(ring::hasUsed);
    return ring.takeUsed();
  }

  private GuestRing.Used ask(long address, long length) {
    ring.descriptor(0, address, length, WRITE, 0);
    return submit(0);
  }

  private long count(String counter) {
    return transport.inspect().counters().getOrDefault(counter, 0L);
  }

  private byte[] guestBytes(long address, int length) {
    byte[] bytes = new byte[length];
    ring.memory().read(address, bytes);
    return bytes;
  }

  private static byte[] random(int length) {
    byte[] bytes = new byte[length];
    Arrays.fill(bytes, (byte) 0x5a);
    return bytes;
  }

  /** VIRTIO 1.2, section 2.6.1: both rings begin at their beginning. */
  @Test
  void aQueueThatIsResetAloneIsServedAgain() {
    ask(BUFFERS, 16);
    driver.resetQueue(0);
    ring.clear();
    driver.setUpQueue(0);
    assertEquals(new GuestRing.Used(0, 16), ask(BUFFERS, 16));
    assertEquals(1, ring.usedIndex());
  }

  @Test
  void isFoundByItsNumberAndHasNoConfiguration() {
    assertEquals(4, driver.read(Register.DEVICE_ID));
    assertEquals(0, transport.read(Register.CONFIG, 4));
    transport.write(Register.CONFIG, 4, 1);
    assertEquals(1, count("illegal.config_read_only"));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 63, 4096, MAX})
  void fillsABuffer(int length) {
    assertEquals(new GuestRing.Used(0, length), ask(BUFFERS, length));
    assertArrayEquals(random(length), guestBytes(BUFFERS, length));
    assertArrayEquals(new byte[64], guestBytes(BUFFERS + length, 64));
    assertEquals(1, count("requests"));
    assertEquals(length, count("bytes"));
  }

  @Test
  void fillsBuffersWhereverTheDriverCutThem() {
    long table = BUFFERS + 0x8000;
    ring.descriptor(table, 0, BUFFERS, 3, NEXT | WRITE, 1)
        .descriptor(table, 1, HIGH_RAM, 100, NEXT | WRITE, 2)
        .descriptor(table, 2, RAM_END - 10, 10, WRITE, 0)
        .descriptor(5, table, 48, INDIRECT, 0);
    assertEquals(new GuestRing.Used(5, 113), submit(5));
    assertArrayEquals(random(3), guestBytes(BUFFERS, 3));
    assertArrayEquals(random(100), guestBytes(HIGH_RAM, 100));
    assertArrayEquals(random(10), guestBytes(RAM_END - 10, 10));
  }

  @Test
  void anOversizedRequestGetsAPart() {
    ring.descriptor(0, BUFFERS, RAM_END - BUFFERS, NEXT | WRITE, 1)
        .descriptor(1, HIGH_RAM, RAM_END, WRITE, 0);
    assertEquals(new GuestRing.Used(0, MAX), submit(0));
    assertArrayEquals(random(MAX), guestBytes(BUFFERS, MAX));
    assertEquals(0, ring.memory().getByte(BUFFERS + MAX));
    assertEquals(0, ring.memory().getByte(HIGH_RAM));
  }

  @Test
  void aSignalEndsNothing() {
    answer = 7L;
    assertEquals(new GuestRing.Used(0, 64), ask(BUFFERS, 64));
    answer = (long) -Errno.EINTR;
    assertEquals(new GuestRing.Used(0, 64), ask(BUFFERS, 64));
    assertEquals(0, count("errors_input_output"));
  }

  @Test
  void aHostThatGivesNothingIsCountedAndTheQueueGoesOn() {
    answer = (long) -Errno.ENOSYS;
    assertEquals(new GuestRing.Used(0, 0), ask(BUFFERS, 64));
    assertEquals(1, count("errors_input_output"));
    assertEquals(0, count("bytes"));
    assertEquals(new GuestRing.Used(0, 64), ask(BUFFERS, 64));
  }

  @Test
  void aBufferToReadIsRefused() {
    ring.descriptor(0, BUFFERS, 16, 0, 0);
    assertEquals(new GuestRing.Used(0, 0), submit(0));
    ring.descriptor(0, BUFFERS, 16, NEXT, 1).descriptor(1, BUFFERS, 16, WRITE, 0);
    assertEquals(new GuestRing.Used(0, 0), submit(0));
    assertEquals(2, count("errors_malformed"));
    assertArrayEquals(new byte[16], guestBytes(BUFFERS, 16));
    assertEquals(new GuestRing.Used(0, 64), ask(BUFFERS, 64));
  }

  @Test
  void aBufferThatIsNoneIsReturnedEmpty() {
    assertEquals(new GuestRing.Used(0, 0), ask(BUFFERS, 0));
    assertEquals(new GuestRing.Used(0, 0), ask(RAM_END - 8, 16));
    assertEquals(new GuestRing.Used(0, 0), ask(MmioPlan.X86_64.slot(0).base(), 16));
    assertEquals(3, count("errors_descriptors"));
    assertEquals(new GuestRing.Used(0, 64), ask(BUFFERS, 64));
  }

  @Test
  void aGuestWaitsForTheRateLimit() {
    assertEquals(new GuestRing.Used(0, MAX), ask(BUFFERS, MAX));
    assertEquals(new GuestRing.Used(0, MAX), ask(BUFFERS, MAX), "a bucket may get into debt");
    assertEquals(0, count("rate_limited"), "nothing waits");
    ring.descriptor(0, BUFFERS, 64, WRITE, 0).offer(0);
    notifier.signal();
    await().until(() -> count("rate_limited") > 0);
    assertFalse(ring.hasUsed());
    nanoTime.addAndGet(1_000_000);
    await().until(ring::hasUsed);
    assertEquals(new GuestRing.Used(0, 64), ring.takeUsed());
  }

  @Test
  void anIllegalRingNeedsAResetWhichBringsItBack() {
    ring.offer(64);
    notifier.signal();
    await().until(() -> DeviceStatus.has(driver.status(), DeviceStatus.NEEDS_RESET));
    driver.initialize(0);
    assertEquals(new GuestRing.Used(0, 64), ask(BUFFERS, 64));
  }

  @Test
  void theHostsNumbersDiffer() {
    EventFd otherNotifier = EventFd.blocking();
    GuestRing guest = new GuestRing(64);
    try (otherNotifier;
        MmioTransport real =
            new MmioTransport(
                MmioPlan.X86_64.slot(1),
                new EntropyDevice("entropy", new HostRandom(), RateLimiter.UNLIMITED),
                guest.memory(),
                interrupt,
                List.of(otherNotifier))) {
      new GuestDriver(real, guest).initialize(0);
      guest.descriptor(0, BUFFERS, 4096, WRITE, 0).offer(0);
      otherNotifier.signal();
      await().until(guest::hasUsed);
    }
    Set<Long> words = new HashSet<>();
    for (long at = BUFFERS; at < BUFFERS + 4096; at += Long.BYTES) {
      words.add(guest.memory().getLong(at));
    }
    assertTrue(words.size() > 500, words.size() + " of 512 words differ");
  }
}
