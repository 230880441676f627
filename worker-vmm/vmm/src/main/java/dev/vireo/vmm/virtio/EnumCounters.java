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
    return counts.values().stream().mapToLong(AtomicLong::get).sum();
  }

  /**
   * Puts every counter that has counted into {@code target}, as {@code prefix} and the constant in
   * lower case.
   */
  public void putInto(Map<String, Long> target, String prefix) {
    counts.forEach((constant, count) -> {
      if (count.get() != 0) {
        target.put(prefix + constant.name().toLowerCase(Locale.ROOT), count.get());
      }
    });
  }
}
