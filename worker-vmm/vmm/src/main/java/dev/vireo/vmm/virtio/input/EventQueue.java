package dev.vireo.vmm.virtio.input;

import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.QueueServer;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.QueueSignals;
import dev.vireo.vmm.virtio.queue.Threads;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.jspecify.annotations.Nullable;

/**
 * The queue of events, and its thread: it wakes when the button is pressed, and when the driver has
 * given buffers, and puts what there is of the one into the other.
 */
final class EventQueue implements QueueServer {
  /** 5.8.6: struct virtio_input_event { le16 type; le16 code; le32 value; }. */
  private static final int EVENT_BYTES = 8;

  private static final int EV_SYN = 0;
  private static final int EV_KEY = 1;
  private static final int KEY_POWER = 116;

  /** What a press is: down, so far; up, so far. */
  private static final byte[][] PRESS = {
    event(EV_KEY, KEY_POWER, 1), event(EV_SYN, 0, 0),
    event(EV_KEY, KEY_POWER, 0), event(EV_SYN, 0, 0)
  };

  private record Service(Virtqueue queue, DescriptorChain chain, QueueSignals signals) {}

  private final QueueConnection connection;
  private final EnumCounters<InputEvent> counters;
  private final Thread thread;
  private final Object serving = new Object();
  private volatile boolean closed;
  private @Nullable Service service;

  /** The next event of {@link #PRESS}, if it is not past them all. */
  private int next = PRESS.length;

  /** Starts the thread. */
  EventQueue(String name, QueueConnection connection, EnumCounters<InputEvent> counters) {
    this.connection = connection;
    this.counters = counters;
    this.thread = Thread.ofPlatform().name("events " + name).daemon().start(new Loop());
  }

  private static byte[] event(int type, int code, int value) {
    return ByteBuffer.allocate(EVENT_BYTES)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putShort((short) type)
        .putShort((short) code)
        .putInt(value)
        .array();
  }

  /** A press that comes while another has not been told is the same press. */
  void press() {
    synchronized (serving) {
      if (next == PRESS.length) {
        next = 0;
      }
    }
    connection.notifier().signal();
  }

  @Override
  public void start(Virtqueue queue, Activation activation) {
    DescriptorChain chain = new DescriptorChain(activation.memory(), queue.size());
    synchronized (serving) {
      service = new Service(queue, chain, activation.signals());
    }
    connection.notifier().signal();
  }

  /**
   * Returns once nothing is in flight, after which the ring is neither read nor written. A press of
   * which this driver heard the beginning is not the next one's: to that one it would only go up.
   */
  @Override
  public void stop() {
    synchronized (serving) {
      service = null;
      if (next > 0) {
        next = PRESS.length;
      }
    }
  }

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
        connection.notifier().drain();
        if (closed) {
          return;
        }
        synchronized (serving) {
          if (service != null) {
            serve(service);
          }
        }
      }
    }
  }

  private void serve(Service current) {
    try {
      deliver(current);
    } catch (RuntimeException | Error e) {
      service = null;
      current.signals().needsReset(e);
    }
  }

  private void deliver(Service current) {
    Virtqueue queue = current.queue();
    // Buffers without events stay with the driver: only for want of them is a notification asked.
    while (next < PRESS.length && (queue.pop(current.chain()) || waitsNoLonger(queue, current))) {
      queue.complete(current.chain(), put(PRESS[next], current.chain()));
      next++;
    }
    if (queue.hasNews() && queue.interruptWanted()) {
      current.signals().usedBuffers();
    }
  }

  private static boolean waitsNoLonger(Virtqueue queue, Service current) {
    return queue.enableNotifications() && queue.pop(current.chain());
  }

  private int put(byte[] event, DescriptorChain chain) {
    if (chain.defect() != null || chain.writableBytes() < EVENT_BYTES) {
      counters.increment(InputEvent.EVENTS_LOST);
      return 0;
    }
    chain.write(0, event);
    counters.increment(InputEvent.EVENTS);
    return EVENT_BYTES;
  }
}
