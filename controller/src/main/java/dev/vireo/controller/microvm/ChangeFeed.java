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
  private final Queue<MicroVmChange> missed;
  private final LinkedBlockingQueue<MicroVmChange> coming;
  private final Consumer<ChangeFeed> onClose;
  private final long startVersion;
  private volatile boolean overrun;

  /** The newest version that the feed has been past, whether it was selected or not. */
  private volatile long offered;

  ChangeFeed(
      Selection selection,
      List<MicroVmChange> missed,
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
  public Optional<MicroVmChange> nextMissed() {
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
  public Optional<MicroVmChange> next(Duration timeout) throws Overrun, InterruptedException {
    Optional<MicroVmChange> next =
        Optional.ofNullable(coming.poll(timeout.toNanos(), TimeUnit.NANOSECONDS));
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
  boolean offer(MicroVmChange change) {
    if (selection.matches(change.microVm()) && !coming.offer(change)) {
      overrun = true;
      return false;
    }
    offered = change.version();
    return true;
  }

  @Override
  public void close() {
    onClose.accept(this);
  }

  /** The reader was too slow. */
  public static final class Overrun extends Exception {}
}
