package dev.vireo.vmm.virtio;

import dev.vireo.catalog.BackEnd;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.RequestSource;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.util.List;
import java.util.Map;

/**
 * A device model: its features, configuration space and queues. It does not know which transport
 * carries it.
 *
 * <p>The transport calls {@link #activate}, {@link #stopQueue} and {@link #deactivate} one at a
 * time, from vCPU threads; the device serves its queues on threads of its own.
 */
public interface VirtioDevice extends RequestSource, AutoCloseable {
  /** Feature bit: not a legacy device (VIRTIO 1.2, section 6). Every transport offers it. */
  long VERSION_1 = 1L << 32;

  /**
   * Feature bit: a queue can be reset by itself, and set up again while the others go on (2.6.1).
   * Offered by those that implement {@link #startQueue}.
   */
  long RING_RESET = 1L << 40;

  /** Its row in the device catalogue. */
  BackEnd backEnd();

  /** The name that the microVM's spec gives it. */
  String id();

  /** The feature bits it offers, apart from those of the transport. Constant. */
  long features();

  /** Whether it can work with this subset of the features: some require others. */
  default boolean accepts(long features) {
    return true;
  }

  /**
   * The largest size of each queue, a power of two up to 32,768; as many entries as it has queues.
   */
  List<Integer> queueSizes();

  /** Bytes of configuration space. Constant. */
  int configLength();

  /**
   * The byte of configuration space at {@code offset}, {@code 0 <= offset < configLength()}.
   * Changes only by {@link DriverSignals#changeConfig}, {@link DriverSignals#showConfig} and {@link
   * #writeConfig}: the driver reads a copy. Must not wait for anything.
   */
  byte readConfig(int offset);

  /**
   * The driver writes a byte of configuration space.
   *
   * @return false if it cannot be written, which is the rule
   */
  default boolean writeConfig(int offset, byte value) {
    return false;
  }

  /**
   * How its queues will be notified and counted, one entry a queue. Called once, before anything
   * else.
   */
  void connect(List<QueueConnection> queues);

  /** The driver is ready: start to serve its queues. May fail with any runtime exception. */
  void activate(Activation activation);

  /** Stops one queue. When it returns, nothing of it is in flight and no ring is written. */
  void stopQueue(int index);

  /**
   * Serves a queue that was stopped, on the ring that its driver has set up for it since. May fail
   * with any runtime exception.
   *
   * @param activation the present one, whose queues are those that it began with
   */
  default void startQueue(int index, Virtqueue queue, Activation activation) {
    throw new UnsupportedOperationException("no queue of this device is reset by itself");
  }

  /**
   * Stops all of it, and forgets the activation; the next may follow. Harmless if it is not active.
   */
  void deactivate();

  /** What is worth telling of it and of what serves it: properties by name. */
  default Map<String, String> attributes() {
    return Map.of();
  }

  /**
   * What is true of it now, in base units that the names tell: {@code actual_bytes}. May ask the
   * driver, and wait for it a moment. Any thread may call.
   */
  default Map<String, Long> gauges() {
    return Map.of();
  }

  /**
   * What it did: requests by kind, bytes, errors by reason. Readable at any time from any thread.
   */
  Map<String, Long> counters();

  /** Stops all of it for good, with its threads. */
  @Override
  void close();
}
