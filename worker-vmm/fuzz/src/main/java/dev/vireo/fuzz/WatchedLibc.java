package dev.vireo.fuzz;

import dev.vireo.linux.Libc;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.BitSet;

/**
 * The C library, with an eye on the threads that sleep in it, so that {@link Sleepers} can tell
 * when a device has done all there is to do.
 */
public final class WatchedLibc implements Libc.Wrapper {
  private static final int EFD_NONBLOCK = 04000;

  private final BitSet nonBlockingEventFds = new BitSet();

  @Override
  public Libc wrap(Libc libc) {
    Sleepers sleepers = Sleepers.install(libc);
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
                  default -> method.invoke(libc, arguments);
                };
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }

  private synchronized void noteEventFd(int fd, int flags) {
    if (fd >= 0) {
      nonBlockingEventFds.set(fd, (flags & EFD_NONBLOCK) != 0);
    }
  }

  private synchronized boolean blocks(int fd) {
    return !nonBlockingEventFds.get(fd);
  }
}
