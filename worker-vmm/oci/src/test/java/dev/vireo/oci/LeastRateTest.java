package dev.vireo.oci;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import org.junit.jupiter.api.Test;

/** What is too slow, and what only seems so. */
class LeastRateTest {
  private static final int SECOND_BYTES = (int) LeastRate.BYTES_PER_SECOND;

  private long now;
  private final LeastRate rate = new LeastRate(() -> now);

  @Test
  void whatComesAtTheRateIsFastEnough() {
    for (int second = 0; second < 300; second++) {
      assertTrue(comes(SECOND_BYTES, Duration.ofSeconds(1)));
    }
  }

  @Test
  void aMinuteIsAveraged() {
    assertTrue(comes(1, Duration.ZERO));
    assertTrue(comes(1, Duration.ofSeconds(59)));
    assertTrue(comes(60 * SECOND_BYTES, Duration.ofSeconds(1)));
    for (int second = 1; second < 60; second++) {
      assertTrue(comes(SECOND_BYTES - 1, Duration.ofSeconds(1)));
    }
    assertFalse(comes(SECOND_BYTES - 1, Duration.ofSeconds(1)));
  }

  @Test
  void whatIsDoneWithTheBytesDoesNotCount() {
    for (int i = 0; i < 100; i++) {
      assertTrue(comes(1, Duration.ZERO));
      now += Duration.ofMinutes(5).toNanos();
      rate.await();
    }
  }

  @Test
  void theFirstBytesMayBeWaitedForLonger() {
    rate.await();
    now += Duration.ofMinutes(2).toNanos();
    assertTrue(rate.come(1));
  }

  private boolean comes(int bytes, Duration after) {
    now += after.toNanos();
    boolean enough = rate.come(bytes);
    rate.await();
    return enough;
  }
}
