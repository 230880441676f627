package dev.vireo.worker.boot;

import dev.vireo.proto.v1.RateLimit;
import dev.vireo.proto.v1.TokenBucket;

/** A spec's rate limits, as a VMM is told of them. */
final class RateLimits {
  private RateLimits() {}

  static dev.vireo.proto.vmm.v1.RateLimit of(RateLimit limit) {
    var wire = dev.vireo.proto.vmm.v1.RateLimit.newBuilder();
    if (limit.hasBandwidth()) {
      wire.setBandwidth(bucket(limit.getBandwidth()));
    }
    if (limit.hasOperations()) {
      wire.setOperations(bucket(limit.getOperations()));
    }
    return wire.build();
  }

  private static dev.vireo.proto.vmm.v1.TokenBucket bucket(TokenBucket bucket) {
    return dev.vireo.proto.vmm.v1.TokenBucket.newBuilder()
        .setCapacity(bucket.getCapacity())
        .setRefillPerSecond(bucket.getRefillPerSecond())
        .build();
  }
}
