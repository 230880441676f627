package dev.vireo.vmm.backend;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RateLimiterTest {
  private static final long SECOND = TimeUnit.SECONDS.toNanos(1);

  // Not from 0: no bucket may care where its clock began.
  private long nowNanos = Long.MAX_VALUE - SECOND;

  private TokenBucket bucket(long capacity, long refillPerSecond) {
    return new TokenBucket(capacity, refillPerSecond, () -> nowNanos);
  }

  /** Waits as told and takes {@code cost}, again and again until {@code nanos} have gone by. */
  private long taken(TokenBucket bucket, long cost, long nanos) {
    long end = nowNanos + nanos;
    long sum = 0;
    while (nowNanos - end < 0) {
      long wait = bucket.waitNanos();
      if (wait == 0) {
        bucket.take(cost);
        sum += cost;
      } else {
        nowNanos += wait;
      }
    }
    return sum;
  }

  @Nested
  class Buckets {
    @Test
    void startFullAndAreEmptyAfterTheirCapacity() {
      TokenBucket bucket = bucket(3, 1);
      for (int i = 0; i < 3; i++) {
        assertEquals(0, bucket.waitNanos());
        bucket.take(1);
      }
      assertEquals(SECOND, bucket.waitNanos());
    }

    @Test
    void areReadyAgainAfterTheTimeTheyTold() {
      TokenBucket bucket = bucket(4, 4);
      bucket.take(4);
      assertEquals(SECOND / 4, bucket.waitNanos());
      nowNanos += SECOND / 4 - 1;
      assertEquals(1, bucket.waitNanos());
      nowNanos += 1;
      assertEquals(0, bucket.waitNanos());
    }

    @Test
    void keepNoMoreThanTheirCapacity() {
      TokenBucket bucket = bucket(2, 1000);
      nowNanos += 3600 * SECOND;
      bucket.take(2);
      assertTrue(bucket.waitNanos() > 0);
    }

    @Test
    void lendWhatIsMissingAndTheNextOneWaitsForIt() {
      TokenBucket bucket = bucket(100, 100);
      bucket.take(1000);
      assertEquals(9 * SECOND + SECOND / 100, bucket.waitNanos());
    }

    @ParameterizedTest
    @CsvSource({
      "1, 1, 1, 10",
      "1, 3, 1, 1000",
      "1000, 7, 3, 100",
      "1500, 1000000, 1500, 60",
      "65536, 125000000, 65562, 3",
      "10, 3000000, 1, 1",
      "1, 1000, 64000, 6400"
    })
    void giveWhatTheyHoldAndWhatTheyGainAndNoMore(
        long capacity, long refillPerSecond, long cost, long seconds) {
      long sum = taken(bucket(capacity, refillPerSecond), cost, seconds * SECOND);
      long most = capacity + refillPerSecond * seconds + cost;
      assertTrue(sum <= most, sum + " of at most " + most);
      long least = refillPerSecond * seconds - cost;
      assertTrue(sum >= least, sum + " of at least " + least);
    }

    @ParameterizedTest
    @CsvSource({"0, 1", "1, 0", "-1, 1", "1, -1"})
    void ofNothingDoNotExist(long capacity, long refillPerSecond) {
      assertThrows(IllegalArgumentException.class, () -> bucket(capacity, refillPerSecond));
    }

    @Test
    void mayBeAsLargeAsANumber() {
      TokenBucket bucket = bucket(Long.MAX_VALUE, Long.MAX_VALUE);
      bucket.take(Long.MAX_VALUE);
      assertEquals(1, bucket.waitNanos());
    }
  }

  @Nested
  class Limits {
    @Test
    void areWaitedForTogether() {
      RateLimiter limiter = new RateLimiter(bucket(1000, 1000), bucket(2, 2));
      limiter.charge(10);
      assertEquals(0, limiter.waitNanos());
      limiter.charge(10);
      assertEquals(SECOND / 2, limiter.waitNanos(), "the third operation");
      limiter.charge(2980);
      assertEquals(2 * SECOND + SECOND / 1000, limiter.waitNanos(), "2,000 bytes of debt");
    }

    @Test
    void ofOneKindLeaveTheOtherAlone() {
      RateLimiter bytes = new RateLimiter(bucket(10, 10), null);
      RateLimiter operations = new RateLimiter(null, bucket(10, 10));
      for (int i = 0; i < 9; i++) {
        bytes.charge(1);
        operations.charge(1 << 30);
      }
      assertEquals(0, bytes.waitNanos());
      assertEquals(0, operations.waitNanos());
    }

    @Test
    void thatAreNoneNeverMakeAnyoneWait() {
      RateLimiter.UNLIMITED.charge(Long.MAX_VALUE);
      RateLimiter.UNLIMITED.charge(Long.MAX_VALUE);
      assertEquals(0, RateLimiter.UNLIMITED.waitNanos());
    }
  }
}
