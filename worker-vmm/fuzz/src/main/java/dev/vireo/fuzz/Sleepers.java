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
    boolean asleep;
  }

  private final Libc libc;
  private final Map<Thread, Sleeper> sleepers = new ConcurrentHashMap<>();
  private final Object changes = new Object();

  private Sleepers(Libc libc) {
    this.libc = libc;
  }

  static Sleepers install(Libc libc) {
    Sleepers made = new Sleepers(libc);
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

  private Sleeper sleeper() {
    return sleepers.computeIfAbsent(Thread.currentThread(), thread -> new Sleeper());
  }

  private void sleep(Sleeper me, int count, int timeoutMillis) {
    MemorySegment.copy(me.own, 0, me.watched, 0, (long) count * ENTRY_BYTES);
    synchronized (changes) {
      me.count = count;
      me.asleep = true;
      changes.notifyAll();
    }
    // Errors and signals too end in the caller's own call, which shows them.
    int ignored = libc.poll(me.own.address(), count, timeoutMillis);
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
      if (thread.isAlive()
          && (sleeper == null
              || !sleeper.asleep
              || libc.poll(sleeper.watched.address(), sleeper.count, 0) != 0)) {
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
