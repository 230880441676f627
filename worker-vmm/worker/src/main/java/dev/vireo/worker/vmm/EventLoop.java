package dev.vireo.worker.vmm;

import dev.vireo.linux.EventFd;
import dev.vireo.linux.Fd;
import dev.vireo.linux.Poller;
import java.lang.System.Logger.Level;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;

/**
 * One thread that waits for every VMM's socket and pidfd at once, and calls whoever registered.
 * What it calls must not block.
 */
public final class EventLoop implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger("vmm");
  private static final int MAX_EVENTS = 64;

  private final Poller poller = new Poller(MAX_EVENTS);
  private final EventFd wake = EventFd.nonBlocking();
  private final Map<Integer, Registration> registrations = new ConcurrentHashMap<>();
  private final AtomicInteger nextKey = new AtomicInteger();
  private final Thread thread;
  private volatile boolean closed;

  public EventLoop() {
    poller.add(wake.fd(), Poller.READABLE, nextKey.getAndIncrement());
    thread = Thread.ofPlatform().name("vmm-events").daemon().start(this::run);
  }

  /** A descriptor that is watched. */
  public final class Registration {
    private final Fd fd;
    private final int key;
    private final Consumer<Registration> handler;

    private Registration(Fd fd, int key, Consumer<Registration> handler) {
      this.fd = fd;
      this.key = key;
      this.handler = handler;
    }

    /** Watches it no longer; to be called before the descriptor is closed. Idempotent. */
    public void cancel() {
      if (registrations.remove(key) != null && !closed) {
        poller.remove(fd);
      }
    }
  }

  /**
   * Calls {@code handler} on this loop's thread whenever, and as long as, {@code fd} is readable.
   */
  public Registration onReadable(Fd fd, Consumer<Registration> handler) {
    // Keys are never used again: an event that was under way for a cancelled one reaches nobody.
    int key = nextKey.getAndIncrement();
    Registration registration = new Registration(fd, key, handler);
    registrations.put(key, registration);
    try {
      poller.add(fd, Poller.READABLE, key);
    } catch (RuntimeException e) {
      registrations.remove(key);
      throw e;
    }
    return registration;
  }

  private void run() {
    while (!closed) {
      int ready = poller.await(-1);
      for (int i = 0; i < ready; i++) {
        Registration registration = registrations.get(poller.key(i));
        if (registration != null) {
          call(registration);
        }
      }
    }
  }

  private static void call(Registration registration) {
    try {
      registration.handler.accept(registration);
    } catch (RuntimeException e) {
      LOG.log(Level.ERROR, "a VMM's event could not be handled", e);
    }
  }

  /** Stops watching. Descriptors stay their owners'. */
  @Override
  public void close() {
    closed = true;
    wake.signal();
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return;
    }
    poller.close();
    wake.close();
  }
}
