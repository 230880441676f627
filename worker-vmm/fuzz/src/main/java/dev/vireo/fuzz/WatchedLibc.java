package dev.vireo.fuzz;

import dev.vireo.linux.Libc;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * The C library, with an eye on the threads that sleep in it, so that {@link Sleepers} can tell
 * when a device has done all there is to do.
 */
public final class WatchedLibc implements Libc.Wrapper {
  private static final int EFD_NONBLOCK = 04000;

  private final BitSet eventFds = new BitSet();
  private final BitSet nonBlockingEventFds = new BitSet();
  private final Map<Integer, Long> signals = new HashMap<>();
  private final Map<Integer, WatchedRing> rings = new ConcurrentHashMap<>();

  @Override
  public Libc wrap(Libc libc) {
    Sleepers sleepers = Sleepers.install(libc, rings);
    return (Libc)
        Proxy.newProxyInstance(
            Libc.class.getClassLoader(),
            new Class<?>[] {Libc.class},
            (proxy, method, arguments) -> {
              try {
                return switch (method.getName()) {
                  case "eventfd" -> {
                    int fd = (int) method.invoke(libc, arguments);
                    noteEventFd(fd, (int) arguments[1]);
                    yield fd;
                  }
                  case "eventfd_read" -> {
                    int fd = (int) arguments[0];
                    if (blocks(fd)) {
                      sleepers.sleepUntilReadable(fd, -1);
                    }
                    yield method.invoke(libc, arguments);
                  }
                  case "eventfd_write" -> {
                    // Whoever looks at the count sees it after the signal that he has taken.
                    synchronized (signals) {
                      signals.merge((int) arguments[0], 1L, Long::sum);
                      yield method.invoke(libc, arguments);
                    }
                  }
                  case "epoll_wait" -> {
                    int timeoutMillis = (int) arguments[3];
                    if (timeoutMillis != 0) { // Otherwise it only looks, and has more to do.
                      sleepers.sleepUntilReadable((int) arguments[0], timeoutMillis);
                    }
                    arguments[3] = 0;
                    yield method.invoke(libc, arguments);
                  }
                  case "poll" -> {
                    int timeoutMillis = (int) arguments[2];
                    if (timeoutMillis != 0) { // As above.
                      sleepers.sleepUntilReady(
                          (long) arguments[0], (int) (long) arguments[1], timeoutMillis);
                    }
                    arguments[2] = 0;
                    yield method.invoke(libc, arguments);
                  }
                  case "syscall" -> {
                    WatchedRing ring = ringOf(arguments);
                    long result =
                        ring == null
                            ? (long) method.invoke(libc, arguments)
                            : sleepers.enter(ring, arguments);
                    noteRing(arguments, result);
                    yield result;
                  }
                  case "mmap" -> {
                    long address = (long) method.invoke(libc, arguments);
                    noteMapping(arguments, address);
                    yield address;
                  }
                  case "close" -> {
                    forget((int) arguments[0]); // First: the number may be another's at once.
                    yield method.invoke(libc, arguments);
                  }
                  default -> method.invoke(libc, arguments);
                };
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }

  private synchronized void noteEventFd(int fd, int flags) {
    if (fd >= 0) {
      eventFds.set(fd);
      nonBlockingEventFds.set(fd, (flags & EFD_NONBLOCK) != 0);
    }
  }

  private synchronized boolean isEventFd(int fd) {
    return fd >= 0 && eventFds.get(fd);
  }

  private synchronized boolean blocks(int fd) {
    return !nonBlockingEventFds.get(fd);
  }

  private synchronized void forget(int fd) {
    if (fd >= 0) {
      eventFds.clear(fd);
      rings.remove(fd);
    }
  }

  /** That which a system call enters. */
  private @Nullable WatchedRing ringOf(Object[] call) {
    return (long) call[0] == WatchedRing.SYS_ENTER ? rings.get((int) (long) call[1]) : null;
  }

  private void noteRing(Object[] call, long fd) {
    if ((long) call[0] == WatchedRing.SYS_SETUP && fd >= 0) {
      rings.put((int) fd, new WatchedRing((long) call[2], this::isEventFd, this::signals));
    }
  }

  private long signals(int eventFd) {
    synchronized (signals) {
      return signals.getOrDefault(eventFd, 0L);
    }
  }

  private void noteMapping(Object[] call, long address) {
    WatchedRing ring = rings.get((int) call[4]);
    if (ring != null && address != -1) {
      ring.mapped((long) call[5], address, (long) call[1]);
    }
  }
}
