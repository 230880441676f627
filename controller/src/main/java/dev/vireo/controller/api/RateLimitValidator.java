package dev.vireo.controller.api;

import dev.vireo.proto.v1.RateLimit;
import dev.vireo.proto.v1.TokenBucket;

/** What can be said of a rate limit by looking at it alone: a rate of nothing is refused. */
final class RateLimitValidator {
  private RateLimitValidator() {}

  static void validate(String field, RateLimit limit, Violations violations) {
    if (limit.hasBandwidth()) {
      validateBucket(field + ".bandwidth", limit.getBandwidth(), violations);
    }
    if (limit.hasOperations()) {
      validateBucket(field + ".operations", limit.getOperations(), violations);
    }
  }

  private static void validateBucket(String field, TokenBucket bucket, Violations violations) {
    validateAmount(field + ".capacity", bucket.getCapacity(), violations);
    validateAmount(field + ".refill_per_second", bucket.getRefillPerSecond(), violations);
  }

  private static void validateAmount(String field, long amount, Violations violations) {
    violations.invalidIf(
        amount < 1,
        field,
        "is %s; 1 to %d. For no limit leave the bucket out.",
        Long.toUnsignedString(amount),
        Long.MAX_VALUE);
  }
}
