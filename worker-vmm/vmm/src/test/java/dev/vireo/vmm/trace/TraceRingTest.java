package dev.vireo.vmm.trace;

import static dev.vireo.vmm.trace.TraceRing.RECORDS;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class TraceRingTest {
  private final TraceRing ring = new TraceRing();
  private final TraceRecord record = new TraceRecord();

  /** All numbers of a record follow from one. */
  private void put(long number) {
    ring.put(number, number + 1, number + 2, number + 3, number + 4);
  }

  private long take() {
    assertTrue(ring.take(record));
    assertEquals(record.timeNanos() + 1, record.durationNanos());
    assertEquals(record.timeNanos() + 2, record.what());
    assertEquals(record.timeNanos() + 3, record.where());
    assertEquals(record.timeNanos() + 4, record.value());
    return record.timeNanos();
  }

  @Test
  void givesBackWhatWasPutInInOrder() {
    put(10);
    put(20);
    assertEquals(10, take());
    assertEquals(20, take());
    assertFalse(ring.take(record));
    put(30);
    assertEquals(30, take());
    assertFalse(ring.take(record));
  }

  @Test
  void dropsWhatFindsItFullAndTellsHowMuchOnce() {
    for (int i = 0; i < RECORDS + 3; i++) {
      put(i);
    }
    assertEquals(3, ring.takeDropped());
    assertEquals(0, ring.takeDropped());
    for (int i = 0; i < RECORDS; i++) {
      assertEquals(i, take());
    }
    assertFalse(ring.take(record));
  }

  @Test
  void goesOnWhereARecordWasTaken() {
    for (int i = 0; i < RECORDS; i++) {
      put(i);
    }
    for (int round = 0; round < 3 * RECORDS; round++) {
      assertEquals(round, take());
      put(RECORDS + round);
    }
    assertEquals(0, ring.takeDropped());
  }

  /** Each is read whole, once, or counted as dropped; of one writer in order. */
  @Test
  void severalThreadsLoseNothingThatIsNotCounted() throws InterruptedException {
    int writers = 3;
    long each = 200_000;
    CountDownLatch done = new CountDownLatch(writers);
    List<Thread> threads = new ArrayList<>();
    for (long writer = 0; writer < writers; writer++) {
      long base = writer << 32;
      threads.add(
          Thread.ofPlatform()
              .start(() -> {
                for (long i = 0; i < each; i++) {
                  put(base + i);
                }
                done.countDown();
              }));
    }
    long[] next = new long[writers];
    long read = 0;
    long dropped = 0;
    while (done.getCount() > 0 || read + dropped < writers * each) {
      dropped += ring.takeDropped();
      if (ring.take(record)) {
        read++;
        int writer = (int) (record.timeNanos() >>> 32);
        long number = record.timeNanos() & 0xffff_ffffL;
        assertTrue(number >= next[writer], "twice, or out of order");
        assertEquals(record.timeNanos() + 4, record.value(), "half of it is another's");
        assertEquals(record.timeNanos() + 1, record.durationNanos(), "half of it is another's");
        next[writer] = number + 1;
      }
    }
    for (Thread thread : threads) {
      thread.join();
    }
    assertEquals(writers * each, read + dropped);
    assertFalse(ring.take(record));
  }
}
