package dev.vireo.controller.api;

import com.google.protobuf.Duration;
import dev.vireo.proto.v1.Balloon;

/** What can be said of a balloon by looking at its spec alone. */
final class BalloonValidator {
  static final long MIN_INTERVAL_MILLIS = 100;
  static final long MAX_INTERVAL_MILLIS = java.time.Duration.ofHours(1).toMillis();

  private BalloonValidator() {}

  static void validate(Balloon balloon, long memoryMib, Violations violations) {
    validateTarget("spec.balloon.target_mib", balloon.getTargetMib(), memoryMib, violations);
    if (balloon.hasStatisticsInterval()) {
      Duration interval = balloon.getStatisticsInterval();
      violations.invalidIf(
          !isValid(interval),
          "spec.balloon.statistics_interval",
          "must be %d ms to %d s.",
          MIN_INTERVAL_MILLIS,
          MAX_INTERVAL_MILLIS / 1_000);
    }
  }

  static void validateTarget(String field, long target, long memoryMib, Violations violations) {
    violations.invalidIf(
        Long.compareUnsigned(target, memoryMib) > 0,
        field,
        "is %s; at most memory_mib, %s.",
        Long.toUnsignedString(target),
        Long.toUnsignedString(memoryMib));
  }

  private static boolean isValid(Duration interval) {
    if (!FieldRules.isDuration(interval, MAX_INTERVAL_MILLIS / 1_000)) {
      return false;
    }
    long millis = interval.getSeconds() * 1_000 + interval.getNanos() / 1_000_000;
    return millis >= MIN_INTERVAL_MILLIS && millis <= MAX_INTERVAL_MILLIS;
  }
}
