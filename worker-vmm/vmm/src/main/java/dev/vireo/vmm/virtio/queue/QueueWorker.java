package dev.vireo.vmm.virtio.queue;

import dev.vireo.linux.MonotonicClock;
import dev.vireo.vmm.memory.GuestMemory;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The thread that serves one queue: it sleeps until the driver notifies, hands each chain to the
 * device, returns it, and interrupts once for all it returned quickly. While it is awake the driver
 * need not notify, and while the driver has not looked it need not interrupt. For a driver that
 * comes back quickly it stays awake a little ({@link Lookout}).
 *
 * <p>It outlives resets: {@link #start} and {@link #stop} give it a ring and take it away. Whatever
 * goes wrong ends in DEVICE_NEEDS_RESET, not in the end of the thread.
 */
public final class QueueWorker implements AutoCloseable {
  /** The device's part. */
  public interface Handler {
    /**
     * Does what the chain asks for. Bad requests are the device's to answer; an exception means
     * that the device cannot go on.
     *
     * @return bytes from the start of the writable part that were written
     */
    int handle(DescriptorChain chain);

    /**
     * Nanoseconds that the next chain has to wait, for a device whose rate is limited; asked when
     * there is one. It stays in the ring, and what was returned before is told of. Waits last whole
     * milliseconds.
     */
    default long waitNanos() {
      return 0;
    }

    /**
     * Whether watching an empty ring is worth a processor's time: not where the answer to a request
     * comes by another thread, which it would keep from running.
     */
    default boolean isWatched() {
      return true;
    }
  }

  /**
   * Requests are told of together if they are done within this time: an interrupt costs both sides
   * more than a request does. Longer, and the driver sleeps while it could work beside the device:
   * with 32 reads in flight, 50 µs left it most of a batch behind.
   */
  private static final long NEWS_WITHIN_NANOS = 10_000;

  private static final long NANOS_PER_MILLI = 1_000_000;

  private record Service(
      Virtqueue queue, DescriptorChain chain, QueueSignals signals, Handler handler) {}

  private final QueueConnection connection;
  private final LongSupplier nanoTime;
  private final Lookout lookout;
  private final Thread thread;
  // Held while a ring is being served: who gets it knows that nothing is in flight.
  private final Object serving = new Object();
  private volatile boolean stopping;
  private volatile boolean closed;
  private @Nullable Service service;

  /** Starts the thread, which sleeps until it is given a ring and notified. */
  public QueueWorker(String name, QueueConnection connection) {
    this(name, connection, MonotonicClock.INSTANCE, new Lookout(Lookout.USUAL_NANOS));
  }

  QueueWorker(String name, QueueConnection connection, LongSupplier nanoTime, Lookout lookout) {
    this.connection = connection;
    this.nanoTime = nanoTime;
    this.lookout = lookout;
    this.thread = Thread.ofPlatform().name(name).daemon().start(new Loop());
  }

  /** Serves {@code queue} from now on, what is already available in it too. */
  public void start(Virtqueue queue, GuestMemory memory, QueueSignals signals, Handler handler) {
    synchronized (serving) {
      service = new Service(queue, new DescriptorChain(memory, queue.size()), signals, handler);
      stopping = false;
    }
    connection.notifier().signal();
  }

  /** Returns once nothing is in flight, after which the ring is neither read nor written. */
  public void stop() {
    stopping = true;
    synchronized (serving) {
      service = null;
      serving.notifyAll();
    }
  }

  /** Stops, and ends the thread. */
  @Override
  public void close() {
    stop();
    closed = true;
    connection.notifier().signal();
    Threads.awaitEnd(thread);
  }

  private final class Loop implements Runnable {
    @Override
    public void run() {
      while (true) {
        sleep();
        if (closed) {
          return;
        }
        connection.counters().notified();
        synchronized (serving) {
          if (service != null && !stopping) {
            serve(service);
          }
        }
      }
    }
  }

  /** Until the driver notifies, or somebody has news of the ring. */
  private void sleep() {
    long sinceNanos = nanoTime.getAsLong();
    connection.notifier().drain();
    lookout.slept(nanoTime.getAsLong() - sinceNanos);
  }

  private void serve(Service current) {
    try {
      serveAll(current);
    } catch (RuntimeException | Error e) {
      service = null;
      current.signals().needsReset(e);
    }
  }

  private void serveAll(Service current) {
    Virtqueue queue = current.queue();
    long toldNanos = nanoTime.getAsLong();
    do {
      queue.disableNotifications();
      while (queue.hasMore() && mayGoOn(current) && queue.pop(current.chain())) {
        int written = current.handler().handle(current.chain());
        queue.complete(current.chain(), written);
        connection.counters().requestDone();
        long nowNanos = nanoTime.getAsLong();
        if (nowNanos - toldNanos > NEWS_WITHIN_NANOS) {
          interrupt(current);
          toldNanos = nowNanos;
        }
      }
      interrupt(current);
    } while (isServed(current) && (seesMore(current) || queue.enableNotifications()));
  }

  /** Watches the empty ring for as long as that may pay. */
  private boolean seesMore(Service current) {
    if (!current.handler().isWatched()) {
      return false;
    }
    long untilNanos = nanoTime.getAsLong() + lookout.nanos();
    while (nanoTime.getAsLong() - untilNanos < 0 && isServed(current)) {
      if (current.queue().hasMore()) {
        return true;
      }
      Thread.onSpinWait();
    }
    return false;
  }

  /** Waits until the device may take the next chain; false if this ring is to be left alone. */
  private boolean mayGoOn(Service current) {
    long waitNanos = current.handler().waitNanos();
    while (waitNanos > 0 && isServed(current)) {
      interrupt(current);
      try {
        // Lets go of the monitor: a reset need not wait for a limit.
        serving.wait(Math.ceilDiv(waitNanos, NANOS_PER_MILLI));
      } catch (InterruptedException e) {
        throw new IllegalStateException("nobody interrupts a device", e);
      }
      waitNanos = current.handler().waitNanos();
    }
    return isServed(current);
  }

  /** Whether this ring was not taken away, nor another given since. */
  @SuppressWarnings("ReferenceEquality") // This very one.
  private boolean isServed(Service current) {
    return !stopping && service == current;
  }

  private void interrupt(Service current) {
    connection.interruptIfWanted(current.queue(), current.signals());
  }
}
