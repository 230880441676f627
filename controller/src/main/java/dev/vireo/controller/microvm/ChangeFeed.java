package dev.vireo.controller.microvm;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * One reader's row of changes: what it missed, then what comes. Bounded: a reader that falls behind
 * by more than its capacity is cut off, so that it slows nobody else.
 */
public final class ChangeFeed implements AutoCloseable {
  private final Selection selection;
  private final Queue<Told> missed;
  private final LinkedBlockingQueue<Told> coming;
  private final Consumer<ChangeFeed> onClose;
  private final long startVersion;
  private volatile boolean overrun;

  /** The newest version that the feed has been past, whether it was selected or not. */
  private volatile long offered;

  /**
   * One change.
   *
   * @param resumeVersion where a reader that has seen it goes on, and misses nothing
   */
  public record Told(MicroVmChange change, long resumeVersion) {
    /**
     * @param last whether no other change of the same commit comes after it
     */
    static Told of(MicroVmChange change, boolean last) {
      return new Told(change, last ? change.version() : change.version() - 1);
    }
  }

  ChangeFeed(
      Selection selection,
      List<Told> missed,
      long startVersion,
      int capacity,
      Consumer<ChangeFeed> onClose) {
    this.selection = selection;
    this.missed = new ArrayDeque<>(missed);
    this.startVersion = startVersion;
    this.offered = startVersion;
    this.coming = new LinkedBlockingQueue<>(capacity);
    this.onClose = onClose;
  }

  /** What the reader has not seen. It comes first. */
  public Optional<Told> nextMissed() {
    return Optional.ofNullable(missed.poll());
  }

  /** Up to where {@link #nextMissed} goes. */
  public long startVersion() {
    return startVersion;
  }

  /**
   * Waits for the next change. Empty when none came in time.
   *
   * @throws Overrun when the reader was too slow, and changes were left out
   */
  public Optional<Told> next(Duration timeout) throws Overrun, InterruptedException {
    Optional<Told> next = Optional.ofNullable(coming.poll(timeout.toNanos(), TimeUnit.NANOSECONDS));
    if (next.isEmpty() && overrun) {
      throw new Overrun();
    }
    return next;
  }

  /**
   * A version up to which the reader, once it has taken everything that {@link #next} has now, has
   * missed nothing.
   */
  public long offeredVersion() {
    return offered;
  }

  /** Returns whether the feed goes on. */
  boolean offer(Told told) {
    if (selection.matches(told.change.microVm()) && !coming.offer(told)) {
      overrun = true;
      return false;
    }
    offered = told.resumeVersion;
    return true;
  }

  @Override
  public void close() {
    onClose.accept(this);
  }

  /** The reader was too slow. */
  public static final class Overrun extends Exception {}
}
