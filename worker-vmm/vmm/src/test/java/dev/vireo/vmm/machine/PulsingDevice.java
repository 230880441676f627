package dev.vireo.vmm.machine;

import dev.vireo.catalog.BackEnd;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import java.util.List;
import java.util.Map;

/**
 * A device whose configuration changes all the time: two words, equal in each generation. It does
 * no I/O.
 */
final class PulsingDevice implements VirtioDevice {
  private static final int CONFIG_BYTES = 8;

  private volatile boolean active;
  private byte pulse;

  @Override
  public BackEnd backEnd() {
    return BackEnd.BLK_FILE;
  }

  @Override
  public String id() {
    return "pulse";
  }

  @Override
  public long features() {
    return 0;
  }

  @Override
  public List<Integer> queueSizes() {
    return List.of(64);
  }

  @Override
  public int configLength() {
    return CONFIG_BYTES;
  }

  @Override
  public byte readConfig(int offset) {
    return pulse;
  }

  @Override
  public void connect(List<QueueConnection> queues) {}

  @Override
  public void activate(Activation activation) {
    active = true;
    Thread.ofPlatform()
        .daemon()
        .start(() -> {
          while (active) {
            activation.signals().changeConfig(() -> pulse++);
          }
        });
  }

  @Override
  public void stopQueue(int index) {}

  @Override
  public void deactivate() {
    active = false;
  }

  @Override
  public Map<String, Long> counters() {
    return Map.of();
  }

  @Override
  public void close() {
    active = false;
  }
}
