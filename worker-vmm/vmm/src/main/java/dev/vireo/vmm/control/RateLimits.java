package dev.vireo.vmm.control;

import dev.vireo.linux.MonotonicClock;
import dev.vireo.proto.vmm.v1.RateLimit;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.TokenBucket;
import org.jspecify.annotations.Nullable;

/** Rate limits as the wire has them. */
final class RateLimits {
  private RateLimits() {}

  static RateLimiter of(RateLimit limit) {
    if (!limit.hasBandwidth() && !limit.hasOperations()) {
      return RateLimiter.UNLIMITED;
    }
    return new RateLimiter(
        bucket(limit.hasBandwidth(), limit.getBandwidth()),
        bucket(limit.hasOperations(), limit.getOperations()));
  }

  private static @Nullable TokenBucket bucket(
      boolean set, dev.vireo.proto.vmm.v1.TokenBucket bucket) {
    return set
        ? new TokenBucket(
            bucket.getCapacity(), bucket.getRefillPerSecond(), MonotonicClock.INSTANCE)
        : null;
  }
}
