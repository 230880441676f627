package dev.vireo.fuzz;

import com.sun.management.ThreadMXBean;
import dev.vireo.vmm.virtio.mmio.Register;
import dev.vireo.vmm.virtio.mmio.TransportInspection;
import java.lang.management.BufferPoolMXBean;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedQueue;

/**
 * Runs programs of a hostile guest against one device, with another beside it, and says what they
 * must not have done. The devices live on from program to program, as in a VMM, as long as what
 * they have of the host is there.
 */
final class Examination implements AutoCloseable {
  /** No guest gets the VMM to allocate more, by an operation; most take none. */
  private static final long MOST_BYTES_AN_OPERATION = 128 << 10;

  /** Classes are loaded, and instrumented, when they are first used. */
  private static final long MOST_BYTES_BESIDES = 32 << 20;

  /**
   * Of the memory for direct buffers, of which a VMM has as little as heap. It is taken for each
   * activation, and not for each request, of which one operation may bring hundreds.
   */
  private static final long MOST_DIRECT_BYTES_AN_OPERATION = 16 << 10;

  private static final long MOST_DIRECT_BYTES_BESIDES = 256 << 10;

  private static final String DEVICE_FAILURE = "illegal.device_failure";

  private final ConcurrentLinkedQueue<Throwable> deaths = new ConcurrentLinkedQueue<>();
  private final ThreadMXBean threadInfo = (ThreadMXBean) ManagementFactory.getThreadMXBean();
  private final BufferPoolMXBean directMemory = directMemory();
  private final Target target;
  private final Scribbler scribbler;
  private final DeviceUnderTest bystander;
  private final HostileGuest neighbour;
  private DeviceUnderTest device;
  private HostileGuest guest;
  private Map<String, Long> neighbourCounters = Map.of();

  /**
   * @param racing whether rings change while the device reads them, so that a program need not do
   *     the same twice
   */
  Examination(Target target, boolean racing) {
    Thread.setDefaultUncaughtExceptionHandler((thread, death) -> deaths.add(death));
    this.target = target;
    scribbler = new Scribbler(racing);
    device = new DeviceUnderTest(target, "fuzzed");
    bystander = new DeviceUnderTest(target, "bystander");
    guest = new HostileGuest(device, target.request(), scribbler);
    neighbour = new HostileGuest(bystander, target.request(), new Scribbler(false));
    neighbour.begin();
    neighbour.useWell(0);
    neighbourCounters = counters(bystander);
  }

  /**
   * Runs one program.
   *
   * @return what the device has counted meanwhile
   * @throws Finding if it did harm
   */
  Map<String, Long> run(byte[] program) {
    if (device.host().isSpent()) {
      device.close();
      device = new DeviceUnderTest(target, "fuzzed");
      guest = new HostileGuest(device, target.request(), scribbler);
    }
    device.restore();
    guest.begin();
    Map<String, Long> before = counters(device);
    long allocatedBefore = allocated();
    long directBefore = directMemory.getMemoryUsed();
    int operations = program.length / Operation.BYTES;
    for (int i = 0; i < operations; i++) {
      guest.run(Operation.at(program, i * Operation.BYTES));
    }
    guest.checkReturned();
    checkAllocation(allocated() - allocatedBefore, operations);
    checkDirectMemory(directMemory.getMemoryUsed() - directBefore, operations);
    Map<String, Long> counted = growth(before, counters(device));
    device.restore();
    checkReset();
    guest.useWell(device.offeredFeatures());
    device.reset();
    checkNobodyDied();
    checkBystander();
    if (!device.guest().guardsAreIntact()) {
      throw new Finding("memory of the host's was written");
    }
    return counted;
  }

  /** VIRTIO 1.2, section 2.4.1, and what the registers have to show then. */
  private void checkReset() {
    device.reset();
    require(device.status() == 0, "status after a reset");
    require(device.read(Register.INTERRUPT_STATUS, 4) == 0, "interrupt status after a reset");
    for (int i = 0; i < device.queues(); i++) {
      device.write(Register.QUEUE_SEL, 4, i);
      require(device.read(Register.QUEUE_READY, 4) == 0, "queue ready after a reset");
    }
    guest.offerEverywhere();
    byte[] memory = device.guest().copy();
    for (int i = 0; i < device.queues(); i++) {
      device.notifyQueue(i);
    }
    device.awaitRest();
    require(device.guest().equalTo(memory), "guest memory was written after a reset");
  }

  private void checkNobodyDied() {
    Throwable death = deaths.poll();
    if (death != null) {
      throw new Finding("a thread died", death);
    }
    Throwable thrown = device.thrown();
    if (thrown != null) {
      throw new Finding("the device threw", thrown);
    }
  }

  private void checkBystander() {
    require(counters(bystander).equals(neighbourCounters), "the bystander has counted something");
    neighbour.requestWell();
    neighbourCounters = counters(bystander);
  }

  private void checkAllocation(long bytes, int operations) {
    if (bytes > MOST_BYTES_AN_OPERATION * operations + MOST_BYTES_BESIDES) {
      throw new Finding(bytes + " bytes allocated by " + operations + " operations");
    }
  }

  private static void checkDirectMemory(long bytes, int operations) {
    if (bytes > MOST_DIRECT_BYTES_AN_OPERATION * operations + MOST_DIRECT_BYTES_BESIDES) {
      throw new Finding(bytes + " bytes for buffers taken by " + operations + " operations");
    }
  }

  private static BufferPoolMXBean directMemory() {
    return ManagementFactory.getPlatformMXBeans(BufferPoolMXBean.class).stream()
        .filter(pool -> pool.getName().equals("direct"))
        .findFirst()
        .orElseThrow();
  }

  private long allocated() {
    long sum = 0;
    for (Thread thread : device.threads()) {
      sum += Math.max(0, threadInfo.getThreadAllocatedBytes(thread.threadId()));
    }
    return sum + threadInfo.getCurrentThreadAllocatedBytes();
  }

  private static void require(boolean condition, String otherwise) {
    if (!condition) {
      throw new Finding(otherwise);
    }
  }

  /** All that is counted, whatever its name. */
  private static Map<String, Long> counters(DeviceUnderTest device) {
    TransportInspection inspection = device.inspect();
    Map<String, Long> result = new TreeMap<>(inspection.counters());
    List<TransportInspection.Queue> queues = inspection.queues();
    for (TransportInspection.Queue queue : queues) {
      String prefix = "queue" + queue.index() + ".";
      result.put(prefix + "requests", queue.requests());
      result.put(prefix + "notifications", queue.notifications());
      result.put(prefix + "interrupts", queue.interrupts());
      result.put(prefix + "interrupts_suppressed", queue.interruptsSuppressed());
    }
    return result;
  }

  private static Map<String, Long> growth(Map<String, Long> before, Map<String, Long> after) {
    Map<String, Long> result = new TreeMap<>();
    for (Map.Entry<String, Long> counter : after.entrySet()) {
      long growth = counter.getValue() - before.getOrDefault(counter.getKey(), 0L);
      require(growth >= 0, counter.getKey() + " has shrunk");
      if (growth > 0) {
        result.put(counter.getKey(), growth);
      }
    }
    require(after.keySet().containsAll(before.keySet()), "a counter is gone");
    require(!result.containsKey(DEVICE_FAILURE), "the device failed; see the log");
    return result;
  }

  @Override
  public void close() {
    device.close();
    bystander.close();
  }
}
