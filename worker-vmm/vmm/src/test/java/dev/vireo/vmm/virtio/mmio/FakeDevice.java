package dev.vireo.vmm.virtio.mmio;

import dev.vireo.catalog.BackEnd;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A device with two queues that does no I/O but remembers what the transport asked of it. */
final class FakeDevice implements VirtioDevice {
  static final long FEATURES = 1L << 3 | 1L << 28 | 1L << 29 | RING_RESET;
  static final int QUEUE_SIZE = 64;

  final byte[] config = {1, 2, 3, 4, 5, 6, 7};
  final List<String> calls = new ArrayList<>();
  @Nullable Activation activation;
  @Nullable RuntimeException activationFailure;

  Activation live() {
    if (activation == null) {
      throw new AssertionError("not active");
    }
    return activation;
  }

  @Override
  public BackEnd backEnd() {
    return BackEnd.BLK_FILE;
  }

  @Override
  public String id() {
    return "fake";
  }

  @Override
  public long features() {
    return FEATURES;
  }

  @Override
  public List<Integer> queueSizes() {
    return List.of(QUEUE_SIZE, QUEUE_SIZE);
  }

  @Override
  public int configLength() {
    return config.length;
  }

  @Override
  public byte readConfig(int offset) {
    return config[offset];
  }

  /** The last byte is the driver's. */
  @Override
  public boolean writeConfig(int offset, byte value) {
    if (offset != config.length - 1) {
      return false;
    }
    config[offset] = value;
    return true;
  }

  @Override
  public void connect(List<QueueConnection> queues) {
    calls.add("connect " + queues.size());
  }

  @Override
  public void activate(Activation newActivation) {
    calls.add("activate");
    if (activationFailure != null) {
      throw activationFailure;
    }
    activation = newActivation;
  }

  @Override
  public void startQueue(int index, Virtqueue queue, Activation current) {
    calls.add("start " + index + " of " + queue.size());
    if (activationFailure != null) {
      throw activationFailure;
    }
  }

  @Override
  public void stopQueue(int index) {
    calls.add("stop " + index);
  }

  @Override
  public void deactivate() {
    calls.add("deactivate");
    activation = null;
  }

  @Override
  public Map<String, Long> counters() {
    return Map.of("fakes", 1L);
  }

  @Override
  public void close() {
    calls.add("close");
  }
}
