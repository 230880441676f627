package dev.vireo.vmm.virtio;

import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;

/** A counter for each constant of an enum. Any thread may count and read. */
public final class EnumCounters<E extends Enum<E>> {
  private final Map<E, AtomicLong> counts;

  public EnumCounters(Class<E> type) {
    counts = new EnumMap<>(type);
    for (E constant : type.getEnumConstants()) {
      counts.put(constant, new AtomicLong());
    }
  }

  public void increment(E counter) {
    add(counter, 1);
  }

  @SuppressWarnings("NullAway") // The constructor put one there for each constant.
  public void add(E counter, long amount) {
    counts.get(counter).addAndGet(amount);
  }

  @SuppressWarnings("NullAway") // As above.
  public long get(E counter) {
    return counts.get(counter).get();
  }

  public long sum() {
    long sum = 0;
    for (AtomicLong count : counts.values()) {
      sum += count.get();
    }
    return sum;
  }

  /**
   * Puts every counter that has counted into {@code target}, as {@code prefix} and the constant in
   * lower case.
   */
  public void putInto(Map<String, Long> target, String prefix) {
    for (Map.Entry<E, AtomicLong> entry : counts.entrySet()) {
      long count = entry.getValue().get();
      if (count != 0) {
        target.put(prefix + entry.getKey().name().toLowerCase(Locale.ROOT), count);
      }
    }
  }
}
