package dev.vireo.fuzz;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.catalog.BackEnd;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.QueueWorker;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Devices that do harm are caught at it. */
@Timeout(60)
class ExaminationTest {
  private static final byte[] REQUEST = Seeds.named("request");

  /**
   * A device of one queue that returns every chain when a subclass has done with it what it does.
   */
  private abstract static class Device implements VirtioDevice {
    private final String id;
    final Map<String, Long> counters = new HashMap<>();
    private @Nullable QueueWorker worker;

    Device(String id) {
      this.id = id;
    }

    /** The other one is to be as it should. */
    boolean isFuzzed() {
      return id.equals("fuzzed");
    }

    abstract int handle(DescriptorChain chain, Activation activation);

    @Override
    public BackEnd backEnd() {
      return BackEnd.RNG_HOST;
    }

    @Override
    public String id() {
      return id;
    }

    @Override
    public long features() {
      return Virtqueue.FEATURES;
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
      throw new IndexOutOfBoundsException(offset);
    }

    @Override
    public void connect(List<QueueConnection> queues) {
      worker = new QueueWorker(id, queues.getFirst());
    }

    @Override
    public void activate(Activation activation) {
      Virtqueue queue = activation.queues().getFirst().orElse(null);
      if (worker != null && queue != null) {
        worker.start(
            queue, activation.memory(), activation.signals(), chain -> handle(chain, activation));
      }
    }

    @Override
    public void stopQueue(int index) {
      deactivate();
    }

    @Override
    public void deactivate() {
      if (worker != null) {
        worker.stop();
      }
    }

    @Override
    public Map<String, Long> counters() {
      return counters;
    }

    @Override
    public void close() {
      if (worker != null) {
        worker.close();
      }
    }
  }

  private static class Harmless extends Device {
    Harmless(String id) {
      super(id);
    }

    @Override
    int handle(DescriptorChain chain, Activation activation) {
      return 0;
    }
  }

  private static String finding(Target.Maker maker, byte[] program) {
    Target target =
        new Target("harmful", maker, new Target.Request(0, "", 64, 0), Target.Event.NONE);
    try (Examination examination = new Examination(target, false)) {
      return String.valueOf(
          assertThrows(Finding.class, () -> examination.run(program)).getMessage());
    }
  }

  @Test
  void findsNothingWhereThereIsNothing() {
    Target target =
        new Target(
            "harmless",
            (id, host) -> new Harmless(id),
            new Target.Request(0, "", 64, 0),
            Target.Event.NONE);
    try (Examination examination = new Examination(target, false)) {
      for (byte[] program : Seeds.all().values()) {
        assertTrue(examination.run(program).size() < 100);
      }
    }
  }

  @Test
  void findsNothingInWhatADeviceMayComeUponAtAnyTime() {
    byte[] program = Seeds.badOfferBeforeTheResetOfAnotherQueue();
    try (Examination examination = new Examination(Target.named("vsock"), false)) {
      for (int i = 0; i < 300; i++) {
        assertEquals(1, examination.run(program).get("illegal.ring"));
      }
    }
  }

  @Test
  void aHandlerThatThrows() {
    assertEquals(
        "the device failed; see the log",
        finding(
            (id, host) ->
                new Device(id) {
                  @Override
                  int handle(DescriptorChain chain, Activation activation) {
                    return isFuzzed() ? chain.getInt(chain.readableBytes()) : 0;
                  }
                },
            REQUEST));
  }

  @Test
  void aThreadThatDies() {
    assertEquals(
        "a thread died",
        finding(
            (id, host) ->
                new Device(id) {
                  @Override
                  int handle(DescriptorChain chain, Activation activation) {
                    Thread.ofPlatform()
                        .start(() -> {
                          throw new IllegalStateException("dies");
                        });
                    return 0;
                  }
                },
            REQUEST));
  }

  @Test
  void aDeviceThatGoesOnAfterAReset() {
    assertEquals(
        "guest memory was written after a reset",
        finding(
            (id, host) ->
                new Harmless(id) {
                  @Override
                  public void deactivate() {
                    if (!isFuzzed()) {
                      super.deactivate();
                    }
                  }
                },
            REQUEST));
  }

  @Test
  void aCounterThatShrinks() {
    assertEquals(
        "requests has shrunk",
        finding(
            (id, host) ->
                new Device(id) {
                  {
                    counters.put("requests", 7L);
                  }

                  @Override
                  int handle(DescriptorChain chain, Activation activation) {
                    if (isFuzzed()) {
                      counters.merge("requests", -1L, Long::sum);
                    }
                    return 0;
                  }
                },
            REQUEST));
  }

  @Test
  void aDeviceThatWritesBesideGuestMemory() {
    assertEquals(
        "memory of the host's was written",
        finding(
            (id, host) ->
                new Device(id) {
                  @Override
                  int handle(DescriptorChain chain, Activation activation) {
                    if (isFuzzed()) {
                      MemorySegment.ofAddress(activation.memory().hostAddress(0, 1) - 8)
                          .reinterpret(8)
                          .fill((byte) 0);
                    }
                    return 0;
                  }
                },
            REQUEST));
  }

  @Test
  void aDeviceThatDoesNotComeBack() {
    String finding =
        finding(
            (id, host) ->
                new Device(id) {
                  @Override
                  int handle(DescriptorChain chain, Activation activation) {
                    return isFuzzed() ? 1 : 0;
                  }
                },
            REQUEST);
    assertEquals("head 0 with 1 bytes returned", finding);
  }

  @Test
  void aDeviceThatAllocatesWhatAGuestAsksFor() {
    String finding =
        finding(
            (id, host) ->
                new Device(id) {
                  @Override
                  int handle(DescriptorChain chain, Activation activation) {
                    byte[] waste = new byte[isFuzzed() ? 40 << 20 : 1];
                    return waste[0];
                  }
                },
            REQUEST);
    assertTrue(finding.contains("bytes allocated"), finding);
  }
}
