package dev.vireo.vmm.backend;

import org.jspecify.annotations.Nullable;

/**
 * Limits how many bytes and how many operations a device moves, by a {@link TokenBucket} each. Ask
 * {@link #waitNanos} before an operation, and {@link #charge} it when its size is known. Several
 * queues of a device may share one.
 */
public final class RateLimiter {
  /** Limits nothing, at no cost. */
  public static final RateLimiter UNLIMITED = new RateLimiter(null, null);

  private final @Nullable TokenBucket bandwidth;
  private final @Nullable TokenBucket operations;

  /**
   * @param bandwidth whose tokens are bytes; null for no limit
   * @param operations a token each; null for no limit
   */
  public RateLimiter(@Nullable TokenBucket bandwidth, @Nullable TokenBucket operations) {
    this.bandwidth = bandwidth;
    this.operations = operations;
  }

  /** Nanoseconds until the next operation may begin; 0 if it may now. */
  public long waitNanos() {
    long forBytes = bandwidth == null ? 0 : bandwidth.waitNanos();
    long forOperation = operations == null ? 0 : operations.waitNanos();
    return Math.max(forBytes, forOperation);
  }

  /** An operation of {@code bytes} takes place. */
  public void charge(long bytes) {
    if (bandwidth != null) {
      bandwidth.take(bytes);
    }
    if (operations != null) {
      operations.take(1);
    }
  }
}
