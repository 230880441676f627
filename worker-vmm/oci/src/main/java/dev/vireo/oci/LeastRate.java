package dev.vireo.oci;

import java.time.Duration;
import java.util.function.LongSupplier;

/**
 * The rate at which a blob has to come, on the average of a minute: a {@link StallWatch} takes a
 * byte now and then for life. Only the time in which bytes are waited for counts, not what is done
 * with them. For one thread.
 */
final class LeastRate {
  /** Of each of three blobs at once, so that a line of 100 kbit/s is enough. */
  static final long BYTES_PER_SECOND = 4 << 10;

  private static final Duration WINDOW = Duration.ofMinutes(1);
  private static final long BYTES = BYTES_PER_SECOND * WINDOW.toSeconds();

  private final LongSupplier nanoTime;
  private boolean begun;
  private long since;
  private long waited;
  private long bytes;

  LeastRate(LongSupplier nanoTime) {
    this.nanoTime = nanoTime;
  }

  /**
   * Some bytes have come.
   *
   * @return whether they come fast enough
   */
  boolean come(int count) {
    // How long the first are waited for is the stall watch's: the registry may have been busy.
    waited += begun ? nanoTime.getAsLong() - since : 0;
    begun = true;
    bytes += count;
    if (waited < WINDOW.toNanos()) {
      return true;
    }
    boolean enough = bytes >= BYTES;
    waited = 0;
    bytes = 0;
    return enough;
  }

  /** More bytes are waited for from now on. */
  void await() {
    since = nanoTime.getAsLong();
  }
}
