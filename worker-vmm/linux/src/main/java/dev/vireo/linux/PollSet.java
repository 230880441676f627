package dev.vireo.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A few descriptors that one thread waits for with {@code poll(2)}. What it waits for may be
 * another thing each time, which costs nothing; for many descriptors {@link Poller} costs less.
 */
public final class PollSet {
  public static final short READABLE = 0x1;
  public static final short WRITABLE = 0x4;
  public static final short ERROR = 0x8;

  /** Not even errors are reported. */
  public static final short NOTHING = 0;

  // struct pollfd { int fd; short events; short revents; }
  private static final int ENTRY_BYTES = 8;
  private static final int EVENTS = 4;
  private static final int RETURNED_EVENTS = 6;

  private final MemorySegment entries;
  private final Fd[] descriptors;

  /**
   * @param descriptors known by their places in this list; they stay their owners'
   */
  public PollSet(Fd... descriptors) {
    this.descriptors = descriptors.clone();
    this.entries = Arena.ofAuto().allocate((long) ENTRY_BYTES * descriptors.length, 8);
    for (int i = 0; i < descriptors.length; i++) {
      watch(i, NOTHING);
    }
  }

  /** Waits for {@link #READABLE} or {@link #WRITABLE}, or both, and for errors, from now on. */
  public void watch(int index, short interest) {
    long entry = (long) ENTRY_BYTES * index;
    // poll(2): an entry whose descriptor is negative is ignored.
    entries.set(
        ValueLayout.JAVA_INT, entry, interest == NOTHING ? -1 : descriptors[index].number());
    entries.set(ValueLayout.JAVA_SHORT, entry + EVENTS, interest);
  }

  /**
   * Waits until a descriptor is ready.
   *
   * @param timeoutMillis −1 waits without limit, 0 does not wait
   */
  public void await(int timeoutMillis) {
    int ready;
    do {
      ready = Linux.libc().poll(entries.address(), descriptors.length, timeoutMillis);
    } while (ready == -1 && Linux.errno() == Errno.EINTR);
    Linux.check(ready, "poll");
  }

  /** What the descriptor was ready for when the last wait ended: constants of this class, or-ed. */
  public int readiness(int index) {
    return entries.get(ValueLayout.JAVA_SHORT, (long) ENTRY_BYTES * index + RETURNED_EVENTS);
  }
}
