package dev.vireo.vmm.virtio.net;

import dev.vireo.linux.Errno;
import dev.vireo.linux.MemoryMapping;
import dev.vireo.linux.PollSet;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.Tap;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.DriverSignals;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.Threads;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The thread that brings frames from one queue of a tap interface into one receive queue. It sleeps
 * for a frame or for the driver, whichever is missing, and interrupts once for all that it brought
 * quickly. It watches the link besides, and tells the driver of it.
 *
 * <p>It outlives resets: {@link #start} and {@link #stop} give it a ring and take it away. Whatever
 * goes wrong ends in DEVICE_NEEDS_RESET, not in the end of the thread.
 */
final class Receiver implements AutoCloseable {
  /**
   * Frames are told of together if they come within this time: an interrupt costs both sides more
   * than a frame does. It is longer than for requests ({@link
   * dev.vireo.vmm.virtio.queue.QueueWorker}): whoever sends a frame does not wait for the driver to
   * see the one before, so the driver's rest keeps none from coming.
   */
  private static final long NEWS_WITHIN_NANOS = 50_000;

  /**
   * How long a frame waits for more buffers. A driver under load gives them in batches; one that
   * gives no more at all must not stop the frames behind. After this long TCP sends again anyhow.
   */
  static final long BUFFERS_WITHIN_NANOS = 200_000_000;

  private static final long NANOS_PER_MILLI = 1_000_000;

  private static final int NOTIFIER = 0;
  private static final int TAP = 1;

  /** What it sleeps for, apart from the notifier. */
  private enum Sleep {
    /** Only the driver can help: it has to give buffers, to switch the queue on, or to start. */
    FOR_THE_DRIVER,
    FOR_A_FRAME,
    FOR_THE_LINK,
    FOR_A_WHILE
  }

  private record Service(
      Virtqueue queue, ReceiveBuffers buffers, DriverSignals signals, boolean tellsOfLink) {}

  private final QueueConnection connection;
  private final Tap tap;
  private final Link link;
  private final RateLimiter limiter;
  private final EnumCounters<NetEvent> events;
  private final LongSupplier nanoTime;
  private final MemoryMapping overflow =
      MemoryMapping.anonymous(ReceiveBuffers.OVERFLOW_BYTES); // Costs nothing until it is used.
  private final PollSet poll;
  private final Thread thread;
  // Held while the ring is being served: who gets it knows that nothing is in flight.
  private final Object serving = new Object();
  private volatile boolean stopping;
  private volatile boolean closed;
  private boolean enabled;
  private @Nullable Service service;
  private long sleepNanos;
  private long frameReadNanos;

  /** Starts the thread, which sleeps until it is given a ring. */
  Receiver(
      String name,
      QueueConnection connection,
      Tap tap,
      Link link,
      RateLimiter limiter,
      EnumCounters<NetEvent> events,
      LongSupplier nanoTime) {
    this.connection = connection;
    this.tap = tap;
    this.link = link;
    this.limiter = limiter;
    this.events = events;
    this.nanoTime = nanoTime;
    this.poll = new PollSet(connection.notifier().fd(), tap.fd());
    poll.watch(NOTIFIER, PollSet.READABLE);
    this.thread = Thread.ofPlatform().name(name).daemon().start(new Loop());
  }

  /**
   * Brings frames into {@code queue} while it is enabled.
   *
   * @param tellsOfLink whether it is this one that tells the driver of the link
   */
  void start(Virtqueue queue, Activation activation, boolean enabled, boolean tellsOfLink) {
    ReceiveBuffers buffers =
        new ReceiveBuffers(
            queue,
            activation.memory(),
            activation.features(),
            overflow.segment(),
            events,
            connection.counters());
    synchronized (serving) {
      this.service = new Service(queue, buffers, activation.signals(), tellsOfLink);
      this.enabled = enabled;
      stopping = false;
    }
    connection.notifier().signal();
  }

  /** A receiver that is disabled reads nothing. */
  void setEnabled(boolean enabled) {
    synchronized (serving) {
      this.enabled = enabled;
    }
    connection.notifier().signal();
  }

  /** Returns once nothing is in flight, after which the ring is neither read nor written. */
  void stop() {
    stopping = true;
    synchronized (serving) {
      service = null;
    }
  }

  /** Stops, and ends the thread. */
  @Override
  public void close() {
    stop();
    closed = true;
    connection.notifier().signal();
    Threads.awaitEnd(thread);
    overflow.close();
  }

  private final class Loop implements Runnable {
    @Override
    public void run() {
      while (!closed) {
        Sleep sleep = Sleep.FOR_THE_DRIVER;
        Service current;
        synchronized (serving) {
          current = service;
          if (current != null && !stopping) {
            sleep = serve(current);
          }
        }
        if (current != null && current.tellsOfLink() && link.hasNews()) {
          // Not within the monitor: a vCPU may wait for it while it holds what this needs.
          current.signals().changeConfig(link);
        }
        sleep(sleep);
      }
    }
  }

  private void sleep(Sleep sleep) {
    poll.watch(
        TAP,
        switch (sleep) {
          case FOR_A_FRAME -> PollSet.READABLE;
          case FOR_THE_LINK -> PollSet.WRITABLE;
          case FOR_THE_DRIVER, FOR_A_WHILE -> PollSet.NOTHING;
        });
    long millis =
        sleep == Sleep.FOR_A_WHILE
            ? Math.min(Math.ceilDiv(sleepNanos, NANOS_PER_MILLI), Integer.MAX_VALUE)
            : -1;
    poll.await((int) millis);
    if (poll.readiness(NOTIFIER) != 0) {
      connection.notifier().drain();
      connection.counters().notified();
    }
    if (sleep == Sleep.FOR_THE_LINK) {
      noteLink(poll.readiness(TAP));
    }
  }

  private void noteLink(int readiness) {
    if ((readiness & PollSet.WRITABLE) != 0) {
      link.up();
    } else if ((readiness & PollSet.ERROR) != 0) {
      link.gone("while it was down");
    }
  }

  private Sleep serve(Service current) {
    try {
      return bringFrames(current);
    } catch (RuntimeException | Error e) {
      service = null;
      current.signals().needsReset(e);
      return Sleep.FOR_THE_DRIVER;
    }
  }

  private Sleep bringFrames(Service current) {
    current.queue().disableNotifications();
    long toldNanos = nanoTime.getAsLong();
    @Nullable Sleep sleep = null;
    while (sleep == null && !stopping) {
      sleep = bringFrame(current);
      long nowNanos = nanoTime.getAsLong();
      if (sleep != null || nowNanos - toldNanos > NEWS_WITHIN_NANOS) {
        connection.interruptIfWanted(current.queue(), current.signals());
        toldNanos = nowNanos;
      }
    }
    return sleep == null ? Sleep.FOR_THE_DRIVER : sleep;
  }

  /** One frame, or a part of its way; null if there may be more to do at once. */
  private @Nullable Sleep bringFrame(Service current) {
    if (!enabled) {
      return Sleep.FOR_THE_DRIVER;
    }
    ReceiveBuffers buffers = current.buffers();
    if (!buffers.hasFrame()) {
      if (link.state() != Link.State.UP) {
        return link.state() == Link.State.DOWN ? Sleep.FOR_THE_LINK : Sleep.FOR_THE_DRIVER;
      }
      if (!buffers.fill()) {
        return current.queue().enableNotifications() ? null : Sleep.FOR_THE_DRIVER;
      }
      sleepNanos = limiter.waitNanos();
      if (sleepNanos > 0) {
        if (!tap.hasFrame()) {
          return Sleep.FOR_A_FRAME;
        }
        events.increment(NetEvent.RX_RATE_LIMITED);
        return Sleep.FOR_A_WHILE;
      }
      int bytes = buffers.readFrame(tap);
      if (bytes < 0) {
        return noFrame(-bytes);
      }
      limiter.charge(bytes);
      if (buffers.deliver()) {
        return null;
      }
      frameReadNanos = nanoTime.getAsLong();
    } else if (buffers.deliver()) {
      return null;
    }
    return awaitBuffers(current);
  }

  private @Nullable Sleep noFrame(int error) {
    return switch (error) {
      case Errno.EAGAIN -> Sleep.FOR_A_FRAME;
      // There was one, and the kernel could not copy it, or it is none: see it as lost.
      case Errno.EFAULT, Errno.EINVAL -> {
        events.increment(NetEvent.RX_DROPPED_BY_HOST);
        yield null;
      }
      default -> {
        link.gone(Errno.describe(error));
        yield Sleep.FOR_THE_DRIVER;
      }
    };
  }

  private @Nullable Sleep awaitBuffers(Service current) {
    sleepNanos = BUFFERS_WITHIN_NANOS - (nanoTime.getAsLong() - frameReadNanos);
    if (sleepNanos <= 0) {
      current.buffers().drop(NetEvent.RX_DROPPED_NO_BUFFERS);
      return null;
    }
    return current.queue().enableNotifications() ? null : Sleep.FOR_A_WHILE;
  }
}
