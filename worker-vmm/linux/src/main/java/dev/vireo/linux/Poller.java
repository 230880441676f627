package dev.vireo.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * An {@code epoll(7)} set: one thread waits for any of several descriptors, each known by a key of
 * the caller's. Level-triggered, unless said otherwise.
 */
public final class Poller implements AutoCloseable {
  public static final int READABLE = 0x1;
  public static final int WRITABLE = 0x4;
  public static final int ERROR = 0x8;
  public static final int HANG_UP = 0x10;

  /** The peer of a stream socket has closed it, or sends no more. */
  public static final int PEER_SENDS_NO_MORE = 0x2000;

  /**
   * Added to an interest: readiness is reported once, when it comes, and then not until there is
   * news. Whoever is told goes on until there is no more, or remembers.
   */
  public static final int EDGE_TRIGGERED = 1 << 31;

  private static final int EPOLL_CLOEXEC = 02000000;
  private static final int EPOLL_CTL_ADD = 1;
  private static final int EPOLL_CTL_DEL = 2;
  private static final int EPOLL_CTL_MOD = 3;

  /** struct epoll_event ({@code linux/eventpoll.h}) is packed on x86-64 only. */
  private static final int EVENT_BYTES = Linux.X86_64 ? 12 : 16;

  private static final int EVENT_DATA = Linux.X86_64 ? 4 : 8;
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;

  private final Fd epoll;
  private final Arena arena = Arena.ofAuto();
  private final MemorySegment events;
  private final int maxEvents;

  /**
   * @param maxEvents how many descriptors one {@link #await} reports at most; the others follow in
   *     the next
   */
  public Poller(int maxEvents) {
    this.maxEvents = maxEvents;
    this.events = arena.allocate((long) maxEvents * EVENT_BYTES, 8);
    this.epoll = Fd.owning(Linux.check(Linux.libc().epoll_create1(EPOLL_CLOEXEC), "epoll_create1"));
  }

  /**
   * Watches a descriptor.
   *
   * @param interest {@link #READABLE}, {@link #WRITABLE}, {@link #PEER_SENDS_NO_MORE}, {@link
   *     #EDGE_TRIGGERED}, or-ed; errors and hang-ups are reported in any case
   */
  public void add(Fd fd, int interest, int key) {
    control(EPOLL_CTL_ADD, fd, interest, key, "epoll_ctl add");
  }

  /** Watches a descriptor that is watched already for something else. */
  public void modify(Fd fd, int interest, int key) {
    control(EPOLL_CTL_MOD, fd, interest, key, "epoll_ctl mod");
  }

  private void control(int operation, Fd fd, int interest, int key, String name) {
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment event = scratch.allocate(EVENT_BYTES, 8);
      event.set(INT, 0, interest);
      event.set(INT, EVENT_DATA, key);
      Linux.check(
          Linux.libc().epoll_ctl(epoll.number(), operation, fd.number(), event.address()), name);
    }
  }

  /** Watches it no longer. */
  public void remove(Fd fd) {
    Linux.check(
        Linux.libc().epoll_ctl(epoll.number(), EPOLL_CTL_DEL, fd.number(), 0), "epoll_ctl del");
  }

  /**
   * Waits until a descriptor is ready.
   *
   * @param timeoutMillis −1 waits without limit, 0 does not wait
   * @return how many are ready; 0 after a time-out
   */
  public int await(int timeoutMillis) {
    int ready;
    do {
      ready = Linux.libc().epoll_wait(epoll.number(), events.address(), maxEvents, timeoutMillis);
    } while (ready == -1 && Linux.errno() == Errno.EINTR);
    return Linux.check(ready, "epoll_wait");
  }

  /** The key of the {@code index}th ready descriptor. */
  public int key(int index) {
    return events.get(INT, (long) index * EVENT_BYTES + EVENT_DATA);
  }

  /** What it is ready for: the constants of this class, or-ed. */
  public int readiness(int index) {
    return events.get(INT, (long) index * EVENT_BYTES);
  }

  @Override
  public void close() {
    epoll.close();
  }
}
