package dev.vireo.vmm.virtio.mmio;

import static org.awaitility.Awaitility.await;

import dev.vireo.catalog.BackEnd;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;

/** A device that takes its time to drain. */
final class FakeSlowDevice implements VirtioDevice {
  private final CountDownLatch draining;
  private final AtomicBoolean drained;
  private boolean active;

  FakeSlowDevice(CountDownLatch draining, AtomicBoolean drained) {
    this.draining = draining;
    this.drained = drained;
  }

  @Override
  public BackEnd backEnd() {
    return BackEnd.BLK_FILE;
  }

  @Override
  public String id() {
    return "slow";
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
    return 0;
  }

  @Override
  public byte readConfig(int offset) {
    throw new AssertionError("there is no configuration");
  }

  @Override
  public void connect(List<QueueConnection> queues) {}

  @Override
  public void activate(Activation activation) {
    active = true;
  }

  @Override
  public void stopQueue(int index) {}

  @Override
  public void deactivate() {
    if (active) {
      draining.countDown();
      await().pollDelay(Duration.ofMillis(50)).until(() -> true);
      drained.set(true);
    }
    active = false;
  }

  @Override
  public Map<String, Long> counters() {
    return Map.of();
  }

  @Override
  public void close() {}
}
