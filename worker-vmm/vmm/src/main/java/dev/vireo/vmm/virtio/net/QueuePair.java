package dev.vireo.vmm.virtio.net;

import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.Tap;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.QueueWorker;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * A receive queue and a transmit queue, each with a thread, on one queue of the tap interface. The
 * first pair is always enabled, the others as the driver says.
 */
final class QueuePair implements AutoCloseable {
  private final String name;
  private final int index;
  private final Tap tap;
  private final RateLimiter receiveLimiter;
  private final RateLimiter transmitLimiter;
  private final EnumCounters<NetEvent> events;
  private final QueueConnection receiveConnection;
  private final QueueConnection transmitConnection;
  private final Link link;
  private final LongSupplier nanoTime;
  private volatile boolean enabled;
  private @Nullable Receiver receiver;
  private @Nullable QueueWorker transmitter;

  QueuePair(
      String device,
      int index,
      Tap tap,
      RateLimiter receiveLimiter,
      RateLimiter transmitLimiter,
      EnumCounters<NetEvent> events,
      QueueConnection receiveConnection,
      QueueConnection transmitConnection,
      Link link,
      LongSupplier nanoTime) {
    this.name = device;
    this.index = index;
    this.tap = tap;
    this.receiveLimiter = receiveLimiter;
    this.transmitLimiter = transmitLimiter;
    this.events = events;
    this.receiveConnection = receiveConnection;
    this.transmitConnection = transmitConnection;
    this.link = link;
    this.nanoTime = nanoTime;
    this.enabled = isFirst();
  }

  private boolean isFirst() {
    return index == 0;
  }

  boolean enabled() {
    return enabled;
  }

  /** Gets its share of the frames, or none; false if it cannot. */
  boolean setEnabled(boolean wanted) {
    if (wanted == enabled) {
      return true;
    }
    if (!(wanted ? tap.attach() : tap.detach())) {
      return false;
    }
    enabled = wanted;
    if (receiver != null) {
      receiver.setEnabled(wanted);
    }
    return true;
  }

  void startReceiving(Virtqueue queue, Activation activation) {
    if (receiver == null) {
      receiver =
          new Receiver(
              "net " + name + " rx" + index,
              receiveConnection,
              tap,
              link,
              receiveLimiter,
              events,
              nanoTime);
    }
    boolean tellsOfLink = isFirst() && activation.has(NetFeature.STATUS);
    receiver.start(queue, activation, enabled, tellsOfLink);
  }

  void startTransmitting(Virtqueue queue, Activation activation) {
    if (transmitter == null) {
      transmitter = new QueueWorker("net " + name + " tx" + index, transmitConnection);
    }
    transmitter.start(
        queue,
        activation.memory(),
        activation.signals(),
        new Transmitter(
            this, tap, link, transmitLimiter, events, activation.memory(), queue.size()));
  }

  void stopReceiving() {
    if (receiver != null) {
      receiver.stop();
    }
  }

  void stopTransmitting() {
    if (transmitter != null) {
      transmitter.stop();
    }
  }

  /**
   * Stops both. All but the first pair end their threads: to the next driver their queues may be
   * others. The first one's may be telling of the link, and that waits for who resets the device.
   */
  void deactivate() {
    stopReceiving();
    stopTransmitting();
    if (!isFirst()) {
      close();
      boolean ignored = setEnabled(false); // If it cannot, the interface is gone.
    }
  }

  @Override
  public void close() {
    if (receiver != null) {
      receiver.close();
      receiver = null;
    }
    if (transmitter != null) {
      transmitter.close();
      transmitter = null;
    }
  }
}
