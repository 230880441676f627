package dev.vireo.vmm.trace;

/**
 * One record of a {@link TraceRing}, as a reader takes it out: five numbers, whose meaning is that
 * of whoever put them in.
 */
public final class TraceRecord {
  /** That of a record whose event has no duration. */
  public static final long NO_DURATION = -1;

  long timeNanos;
  long durationNanos;
  long what;
  long where;
  long value;

  /** {@code System.nanoTime} when it began. */
  public long timeNanos() {
    return timeNanos;
  }

  /** Nanoseconds, or {@link #NO_DURATION}. */
  public long durationNanos() {
    return durationNanos;
  }

  /** The kind of event, and small numbers. */
  public long what() {
    return what;
  }

  /** An address or an offset. */
  public long where() {
    return where;
  }

  /** A value or an amount. */
  public long value() {
    return value;
  }
}
