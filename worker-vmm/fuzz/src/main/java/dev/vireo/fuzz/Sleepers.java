package dev.vireo.fuzz;

import dev.vireo.linux.Libc;
import dev.vireo.linux.Linux;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * The threads that sleep in the C library, and what each sleeps for.
 *
 * <p>A device is at rest when each of its threads sleeps for something that is not there. To see
 * that without a race, a thread here first waits for its descriptors to be ready, then says that it
 * is awake, and only then takes what made them ready: as long as it counts as asleep, what will
 * wake it can be seen.
 */
final class Sleepers {
  // struct pollfd { int fd; short events; short revents; }
  private static final int ENTRY_BYTES = 8;
  private static final int EVENTS = 4;
  private static final short POLLIN = 1;
  private static final int MOST_DESCRIPTORS = 8;

  /** No device works that long on what a guest of this size can ask for. */
  private static final long REST_WITHIN_NANOS = TimeUnit.SECONDS.toNanos(60);

  private static @Nullable Sleepers installed;

  private static final class Sleeper {
    private final Arena arena = Arena.ofAuto();
    // The same twice: the kernel writes to what it is given, and two threads give it.
    final MemorySegment own = arena.allocate(ENTRY_BYTES * MOST_DESCRIPTORS, 8);
    final MemorySegment watched = arena.allocate(ENTRY_BYTES * MOST_DESCRIPTORS, 8);
    int count;
    @Nullable WatchedRing ring;
    boolean asleep;

    /** Nothing is there to wake it. */
    boolean isAtRest(Libc libc) {
      if (!asleep) {
        return false;
      }
      return ring != null ? ring.isIdle() : libc.poll(watched.address(), count, 0) == 0;
    }
  }

  private final Libc libc;
  private final Map<Integer, WatchedRing> rings;
  private final Map<Thread, Sleeper> sleepers = new ConcurrentHashMap<>();
  private final Object changes = new Object();

  private Sleepers(Libc libc, Map<Integer, WatchedRing> rings) {
    this.libc = libc;
    this.rings = rings;
  }

  /**
   * @param rings this process' own by their descriptors, as they come and go
   */
  static Sleepers install(Libc libc, Map<Integer, WatchedRing> rings) {
    Sleepers made = new Sleepers(libc, rings);
    installed = made;
    return made;
  }

  /**
   * Those of this process.
   *
   * @throws IllegalStateException if it has used the C library before this was asked
   */
  static Sleepers installed() {
    System.setProperty("vireo.libc.wrapper", WatchedLibc.class.getName());
    Libc ignored = Linux.libc(); // The first time, this installs them.
    if (installed == null) {
      throw new IllegalStateException("too late to watch the calls of this process");
    }
    return installed;
  }

  /** The one with that descriptor, if it is one's. */
  @Nullable WatchedRing ring(int fd) {
    return rings.get(fd);
  }

  void sleepUntilReadable(int fd, int timeoutMillis) {
    Sleeper me = sleeper();
    me.own.set(ValueLayout.JAVA_INT, 0, fd);
    me.own.set(ValueLayout.JAVA_SHORT, EVENTS, POLLIN);
    sleep(me, 1, timeoutMillis);
  }

  /**
   * @param entries address of {@code count} {@code struct pollfd}
   */
  void sleepUntilReady(long entries, int count, int timeoutMillis) {
    Sleeper me = sleeper();
    long bytes = (long) count * ENTRY_BYTES;
    MemorySegment.copy(MemorySegment.ofAddress(entries).reinterpret(bytes), 0, me.own, 0, bytes);
    sleep(me, count, timeoutMillis);
  }

  /**
   * As {@code io_uring_enter(2)}, in two calls if there is nothing to go on with after the first.
   *
   * @param call its number and arguments
   */
  long enter(WatchedRing ring, Object[] call) {
    long fd = (long) call[1];
    long count = (long) call[2];
    long waitFor = (long) call[3];
    ring.beforeEnter((int) count);
    long taken = libc.syscall(WatchedRing.SYS_ENTER, fd, count, 0, (long) call[4], 0);
    if (waitFor > 0 && taken == count && !ring.hasResults()) {
      Sleeper me = sleeper();
      fallAsleep(me, 0, ring);
      long ignored = // As below.
          libc.syscall(WatchedRing.SYS_ENTER, fd, 0, waitFor, WatchedRing.ENTER_GETEVENTS, 0);
      wakeUp(me);
    }
    return taken;
  }

  private Sleeper sleeper() {
    return sleepers.computeIfAbsent(Thread.currentThread(), thread -> new Sleeper());
  }

  private void sleep(Sleeper me, int count, int timeoutMillis) {
    MemorySegment.copy(me.own, 0, me.watched, 0, (long) count * ENTRY_BYTES);
    fallAsleep(me, count, null);
    // Errors and signals too end in the caller's own call, which shows them.
    int ignored = libc.poll(me.own.address(), count, timeoutMillis);
    wakeUp(me);
  }

  private void fallAsleep(Sleeper me, int count, @Nullable WatchedRing ring) {
    synchronized (changes) {
      me.count = count;
      me.ring = ring;
      me.asleep = true;
      changes.notifyAll();
    }
  }

  private void wakeUp(Sleeper me) {
    synchronized (changes) {
      me.asleep = false;
    }
  }

  /**
   * Returns when all of {@code threads} that live sleep, and nothing is there to wake them.
   *
   * @throws Finding if they find no rest
   */
  void awaitRest(List<Thread> threads) {
    long deadline = System.nanoTime() + REST_WITHIN_NANOS;
    synchronized (changes) {
      while (!areAtRest(threads)) {
        long left = deadline - System.nanoTime();
        if (left <= 0) {
          throw restless(threads);
        }
        try {
          changes.wait(TimeUnit.NANOSECONDS.toMillis(left) + 1);
        } catch (InterruptedException e) {
          throw new IllegalStateException("nobody interrupts the fuzzer", e);
        }
      }
    }
  }

  private boolean areAtRest(List<Thread> threads) {
    for (Thread thread : threads) {
      Sleeper sleeper = sleepers.get(thread);
      if (thread.isAlive() && (sleeper == null || !sleeper.isAtRest(libc))) {
        return false;
      }
    }
    return true;
  }

  private static Finding restless(List<Thread> threads) {
    StringBuilder text = new StringBuilder("threads find no rest:");
    for (Thread thread : threads) {
      text.append("\n  ").append(thread.getName()).append(' ').append(thread.getState());
      text.append(' ').append(Arrays.toString(thread.getStackTrace()));
    }
    return new Finding(text.toString());
  }

  /** Forgets threads that have ended. */
  void forgetTheDead() {
    sleepers.keySet().removeIf(thread -> !thread.isAlive());
  }
}
