package dev.vireo.vmm.backend;

import java.util.function.LongSupplier;

/**
 * A token bucket: it starts full, gains tokens evenly, and keeps no more than its capacity. Any
 * thread may use it.
 *
 * <p>Whoever finds one whole token may go on and takes what that costs, which need not be known
 * before and may be more than there is: the bucket is then in debt, and the next one waits until it
 * has been refilled. So in any <i>t</i> seconds no more is taken than the capacity, the refill of
 * <i>t</i> seconds, and the debt of the last to go on.
 */
public final class TokenBucket {
  private static final double NANOS_PER_SECOND = 1e9;

  private final double capacity;
  private final double refillPerNano;
  private final LongSupplier nanoTime;
  private double tokens;
  private long refilledNanos;

  /**
   * @param capacity tokens it holds at most, 1 or more: what may be taken at once after a pause
   * @param refillPerSecond tokens it gains each second, 1 or more
   * @param nanoTime a monotonic clock
   */
  public TokenBucket(long capacity, long refillPerSecond, LongSupplier nanoTime) {
    if (capacity < 1 || refillPerSecond < 1) {
      throw new IllegalArgumentException(
          "a bucket of %d tokens, refilled by %d a second".formatted(capacity, refillPerSecond));
    }
    this.capacity = capacity;
    this.refillPerNano = refillPerSecond / NANOS_PER_SECOND;
    this.nanoTime = nanoTime;
    this.tokens = capacity;
    this.refilledNanos = nanoTime.getAsLong();
  }

  /** Nanoseconds until there is a whole token; 0 if there is one now. */
  public synchronized long waitNanos() {
    refill();
    return tokens >= 1 ? 0 : (long) Math.ceil((1 - tokens) / refillPerNano);
  }

  /** Takes {@code count} tokens, whether they are there or not. */
  public synchronized void take(long count) {
    refill();
    tokens -= count;
  }

  private void refill() {
    long now = nanoTime.getAsLong();
    tokens = Math.min(capacity, tokens + (now - refilledNanos) * refillPerNano);
    refilledNanos = now;
  }
}
