package dev.vireo.vmm.trace;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A bounded ring of records, for many threads that write and one that reads. Writing never waits,
 * allocates nothing, and makes no system call: what finds the ring full is counted and dropped.
 *
 * <p>A writer claims a place by moving {@link #claimed} on, fills it, and releases the place's
 * sequence number, which the reader acquires: so it never sees half a record, and a writer that was
 * interrupted in between holds up reading, not writing.
 */
public final class TraceRing {
  /** Records of a ring: a power of two. All of them are 192 KiB. */
  public static final int RECORDS = 4096;

  // Of a record: its sequence number, which is its position in the stream plus 1, and the rest.
  private static final int SEQUENCE = 0;
  private static final int TIME = 1;
  private static final int DURATION = 2;
  private static final int WHAT = 3;
  private static final int WHERE = 4;
  private static final int VALUE = 5;
  private static final int WORDS = 6;

  private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);

  private final long[] words = new long[RECORDS * WORDS];
  private final AtomicLong claimed = new AtomicLong();
  private final AtomicLong dropped = new AtomicLong();
  private volatile long taken;

  /** Writes a record, or drops it. The numbers are those of {@link TraceRecord}. */
  public void put(long timeNanos, long durationNanos, long what, long where, long value) {
    long position = claimed.get();
    while (true) {
      if (position - taken >= RECORDS) {
        dropped.incrementAndGet();
        return;
      }
      long seen = claimed.compareAndExchange(position, position + 1);
      if (seen == position) {
        break;
      }
      position = seen;
    }
    int at = placeOf(position);
    words[at + TIME] = timeNanos;
    words[at + DURATION] = durationNanos;
    words[at + WHAT] = what;
    words[at + WHERE] = where;
    words[at + VALUE] = value;
    WORD.setRelease(words, at + SEQUENCE, position + 1);
  }

  /**
   * Takes the oldest record out.
   *
   * @param into overwritten
   * @return false if there is none
   */
  public boolean take(TraceRecord into) {
    long position = taken;
    int at = placeOf(position);
    if ((long) WORD.getAcquire(words, at + SEQUENCE) != position + 1) {
      return false;
    }
    into.timeNanos = words[at + TIME];
    into.durationNanos = words[at + DURATION];
    into.what = words[at + WHAT];
    into.where = words[at + WHERE];
    into.value = words[at + VALUE];
    taken = position + 1;
    return true;
  }

  /** How many were dropped since this was last asked. */
  public long takeDropped() {
    return dropped.getAndSet(0);
  }

  private static int placeOf(long position) {
    return (int) (position & (RECORDS - 1)) * WORDS;
  }
}
