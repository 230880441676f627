package dev.vireo.controller.api;

import com.google.protobuf.Duration;
import java.nio.charset.StandardCharsets;

/** What holds of ports, texts and durations in whichever field they are. */
final class FieldRules {
  static final int MAX_PORT = 65_535;

  private static final int NANOS_PER_SECOND = 1_000_000_000;

  private FieldRules() {}

  /** One must be set. */
  static void port(String field, int port, Violations violations) {
    violations.invalidIf(
        port < 1 || port > MAX_PORT,
        field,
        "is %s; 1 to %d.",
        Integer.toUnsignedString(port),
        MAX_PORT);
  }

  /** One may be set. */
  static void portOrNone(String field, int port, Violations violations) {
    violations.invalidIf(
        port < 0 || port > MAX_PORT,
        field,
        "is %s; 1 to %d, or 0.",
        Integer.toUnsignedString(port),
        MAX_PORT);
  }

  static void noNul(String field, String text, Violations violations) {
    violations.invalidIf(hasNul(text), field, "has a NUL character.");
  }

  static boolean hasNul(String text) {
    return text.indexOf('\0') >= 0;
  }

  /** How many it has in UTF-8. */
  static int bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8).length;
  }

  /**
   * Whether it is one, of 0 s or more.
   *
   * @param maxSeconds how many whole ones it may have
   */
  static boolean isDuration(Duration duration, long maxSeconds) {
    return duration.getSeconds() >= 0
        && duration.getNanos() >= 0
        && duration.getNanos() < NANOS_PER_SECOND
        && duration.getSeconds() <= maxSeconds;
  }

  /** As {@link #isDuration}, of more than 0 s. */
  static boolean isPositiveDuration(Duration duration, long maxSeconds) {
    return isDuration(duration, maxSeconds)
        && (duration.getSeconds() > 0 || duration.getNanos() > 0);
  }
}
