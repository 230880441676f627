package dev.vireo.vmm.virtio.block;

import static dev.vireo.vmm.virtio.block.DiskGuest.DISCARD;
import static dev.vireo.vmm.virtio.block.DiskGuest.FLUSH;
import static dev.vireo.vmm.virtio.block.DiskGuest.IN;
import static dev.vireo.vmm.virtio.block.DiskGuest.OUT;
import static dev.vireo.vmm.virtio.block.DiskGuest.WRITE_ZEROES;
import static dev.vireo.vmm.virtio.block.DiskGuest.ranges;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.Fd;
import dev.vireo.vmm.backend.DiskGeometry;
import dev.vireo.vmm.backend.FakeLibc;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.trace.TraceFilter;
import dev.vireo.vmm.trace.TraceRecord;
import dev.vireo.vmm.trace.TraceRing;
import dev.vireo.vmm.virtio.block.BlockDevice.Engine;
import dev.vireo.vmm.virtio.block.BlockDevice.Settings;
import dev.vireo.vmm.virtio.block.DiskGuest.Range;
import dev.vireo.vmm.virtio.queue.RequestDescription;
import dev.vireo.vmm.virtio.queue.RequestKind;
import dev.vireo.vmm.virtio.queue.RequestResult;
import dev.vireo.vmm.virtio.queue.TracedRequest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What a trace tells of a disk's requests, whatever serves them. */
@Timeout(30)
class DiskTraceTest {
  private static final int SECTORS = 1024;
  private static final long NOWHERE = RequestDescription.NO_OFFSET;
  private static final TraceFilter ALL = new TraceFilter(true, true, "", 0);

  @TempDir Path directory;

  private final TraceRing ring = new TraceRing();
  private final TraceRecord record = new TraceRecord();
  private Path path;

  @BeforeEach
  void createDisk() throws IOException {
    path = Files.write(directory.resolve("disk.raw"), new byte[SECTORS * 512]);
  }

  private DiskGuest guest(Engine engine) {
    RawFile file = new RawFile(Fd.open(path.toString(), Fd.O_RDWR), SECTORS * 512);
    return new DiskGuest(
        new BlockDevice(
            "disk0", file, new Settings(false, 2, RateLimiter.UNLIMITED, engine, line -> {})));
  }

  private TracedRequest take() {
    assertTrue(ring.take(record));
    assertTrue(TracedRequest.is(record));
    return TracedRequest.of(record);
  }

  private void assertTraced(
      RequestKind kind, RequestResult result, long offset, long bytes, int queue) {
    assertEquals(new TracedRequest(0, queue, kind, result, offset, bytes), take());
  }

  @ParameterizedTest
  @EnumSource(Engine.class)
  void eachRequestIsToldByKindPlaceAmountAndResult(Engine engine) {
    try (DiskGuest guest = guest(engine)) {
      guest.transport.trace(ring, ALL);
      long before = System.nanoTime();
      guest.read(8, 1024);
      long after = System.nanoTime();

      TracedRequest read = take();
      assertEquals(
          new TracedRequest(0, 0, RequestKind.READ, RequestResult.OK, 8 * 512, 1024), read);
      assertTrue(record.timeNanos() >= before && record.durationNanos() > 0);
      assertTrue(record.timeNanos() + record.durationNanos() <= after);

      guest.write(9, new byte[512]);
      assertTraced(RequestKind.WRITE, RequestResult.OK, 9 * 512, 512, 0);
      guest.request(FLUSH, 0, new byte[0], 0);
      assertTraced(RequestKind.FLUSH, RequestResult.OK, NOWHERE, 0, 0);
      guest.request(DISCARD, 0, ranges(new Range(8, 64, 0), new Range(512, 8, 0)), 0);
      assertTraced(RequestKind.DISCARD, RequestResult.OK, 8 * 512, 72 * 512, 0);
      guest.request(WRITE_ZEROES, 0, ranges(new Range(16, 8, 0)), 0);
      assertTraced(RequestKind.WRITE_ZEROES, RequestResult.OK, 16 * 512, 8 * 512, 0);
      guest.read(SECTORS, 512);
      assertTraced(RequestKind.READ, RequestResult.ERROR, SECTORS * 512, 512, 0);
      guest.request(99, 0, new byte[0], 0);
      TracedRequest unknown = take();
      assertEquals(RequestKind.REQUEST, unknown.kind());
      assertEquals(RequestResult.UNSUPPORTED, unknown.result());

      guest.submit(1, 0, OUT, 3, new byte[512], 0);
      guest.awaitUsed(1);
      assertTraced(RequestKind.WRITE, RequestResult.OK, 3 * 512, 512, 1);
    }
  }

  @Test
  void aChainThatIsNoRequestIsToldAsThat() {
    try (DiskGuest guest = guest(Engine.THREAD)) {
      guest.transport.trace(ring, ALL);
      guest.ring(0).descriptor(0, 0x7fff_0000L, 16, 0, 0).offer(0);
      guest.notifyOf(0);
      guest.awaitUsed(0);
      assertEquals(RequestResult.MALFORMED, take().result());
    }
  }

  @Test
  void nothingIsToldBeforeTheBeginNorAfterTheEnd() {
    try (DiskGuest guest = guest(Engine.THREAD)) {
      guest.read(0, 512);
      guest.transport.trace(ring, ALL);
      guest.transport.endTrace();
      guest.read(0, 512);
      assertFalse(ring.take(record));
    }
  }

  @Test
  void whatIsQuickerThanWantedIsLeftOut() {
    try (DiskGuest guest = guest(Engine.THREAD)) {
      guest.transport.trace(ring, new TraceFilter(true, true, "", Long.MAX_VALUE));
      guest.read(0, 512);
      assertFalse(ring.take(record));
      guest.transport.trace(ring, new TraceFilter(true, true, "", 1));
      guest.read(0, 512);
      assertEquals(RequestKind.READ, take().kind());
    }
  }

  /** It goes on through resets, since it belongs to the queue and not to the driver's ring. */
  @Test
  void aTraceOutlivesAReset() {
    try (DiskGuest guest = guest(Engine.THREAD)) {
      guest.transport.trace(ring, ALL);
      guest.driver.reset();
      guest.initialize(guest.device().features());
      guest.read(0, 512);
      assertEquals(RequestKind.READ, take().kind());
    }
  }

  @Test
  void oneThatWasUnderWayAtTheBeginHasNoDuration() throws InterruptedException {
    CountDownLatch mayRead = new CountDownLatch(1);
    CountDownLatch reads = new CountDownLatch(1);
    FakeLibc slow =
        new FakeLibc((function, arguments) -> {
          if (function.startsWith("pread")) {
            reads.countDown();
            awaitUninterrupted(mayRead);
          }
          return null;
        });
    RawFile file =
        new RawFile(
            slow.libc(),
            Fd.open(path.toString(), Fd.O_RDWR),
            null,
            DiskGeometry.ofFile(SECTORS * 512));
    try (DiskGuest guest =
        new DiskGuest(new BlockDevice("disk0", file, Settings.simple(false, line -> {})))) {
      guest.submit(0, 0, IN, 0, new byte[0], 512);
      reads.await();
      guest.transport.trace(ring, ALL);
      mayRead.countDown();
      guest.awaitUsed(0);
      await().until(() -> ring.take(record));
      assertEquals(TraceRecord.NO_DURATION, record.durationNanos());
      assertEquals(RequestKind.REQUEST, TracedRequest.of(record).kind());
    }
  }

  private static void awaitUninterrupted(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }
}
