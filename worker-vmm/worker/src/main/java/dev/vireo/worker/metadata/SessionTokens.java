package dev.vireo.worker.metadata;

import dev.vireo.worker.time.Time;
import java.time.Duration;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.random.RandomGenerator;

/**
 * The session tokens of one guest. They are in memory alone: a worker's successor knows none of
 * them, and whoever had one asks for another. To be used by one thread at a time.
 */
final class SessionTokens {
  /** The oldest gives way to one more. */
  static final int MOST = 256;

  private static final int BYTES = 32;
  private static final Base64.Encoder TEXT = Base64.getUrlEncoder().withoutPadding();

  private final RandomGenerator random;
  private final Time time;
  private final Map<String, Long> ends = new LinkedHashMap<>();

  /**
   * @param random which nobody can foretell
   */
  SessionTokens(RandomGenerator random, Time time) {
    this.random = random;
    this.time = time;
  }

  /** A new one, for so long. */
  String issue(Duration lifetime) {
    ends.values().removeIf(this::isOver);
    if (ends.size() == MOST) {
      ends.remove(ends.keySet().iterator().next());
    }
    byte[] bytes = new byte[BYTES];
    random.nextBytes(bytes);
    String token = TEXT.encodeToString(bytes);
    ends.put(token, time.nanos() + lifetime.toNanos());
    return token;
  }

  boolean isValid(String token) {
    Long end = ends.get(token);
    return end != null && !isOver(end);
  }

  private boolean isOver(long end) {
    return end - time.nanos() <= 0;
  }
}
