package dev.vireo.sim.kernel;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;

/**
 * What happened, a line each: the last of it is kept for a failure's report, and a hash of all of
 * it tells whether two runs were the same.
 */
public final class Trace {
  private static final int KEPT = 400;

  private final Deque<String> last = new ArrayDeque<>();
  private final Consumer<String> listener;
  private long hash = 1;

  /**
   * @param listener is told of each line
   */
  public Trace(Consumer<String> listener) {
    this.listener = listener;
  }

  /** Writes a line. */
  public void line(long nanos, String who, String what) {
    String line = String.format(Locale.ROOT, "%11.6f %-14s %s", nanos / 1e9, who, what);
    hash = hash * 1_000_003 + line.hashCode();
    last.addLast(line);
    if (last.size() > KEPT) {
      last.removeFirst();
    }
    listener.accept(line);
  }

  /** Of all lines so far. */
  public long hash() {
    return hash;
  }

  /** The newest lines, the oldest of them first. */
  public List<String> last() {
    return List.copyOf(last);
  }
}
