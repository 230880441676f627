package dev.vireo.fuzz;

import dev.vireo.catalog.MmioPlan;
import dev.vireo.linux.EventFd;
import dev.vireo.vmm.virtio.DeviceStatus;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.memory.MemoryDevice;
import dev.vireo.vmm.virtio.mmio.MmioTransport;
import dev.vireo.vmm.virtio.mmio.Register;
import dev.vireo.vmm.virtio.mmio.TransportInspection;
import dev.vireo.vmm.virtio.queue.QueueSetup;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A device on its transport in a guest of its own, and what a vCPU can do to it: access registers
 * and notify. After each, the caller may wait until the device has done all there is to do.
 */
final class DeviceUnderTest implements AutoCloseable {
  private static final int DRIVER = DeviceStatus.ACKNOWLEDGE | DeviceStatus.DRIVER;
  private static final int FEATURES_OK = DRIVER | DeviceStatus.FEATURES_OK;
  private static final int DRIVER_OK = FEATURES_OK | DeviceStatus.DRIVER_OK;

  // Before anything else: it has to be there when the C library is first called.
  private final Sleepers sleepers = Sleepers.installed();
  private final String id;
  private final Host host = new Host();
  private final GuestLayout guest = new GuestLayout(host.blocks());
  private final Target target;
  private final VirtioDevice real;
  private final VirtioDevice device;
  private final EventFd interrupt = EventFd.nonBlocking();
  private final List<EventFd> notifiers = new ArrayList<>();
  private final MmioTransport transport;
  private List<Thread> threads = List.of();
  private volatile @Nullable Throwable thrown;

  DeviceUnderTest(Target target, String id) {
    this.id = id;
    this.target = target;
    this.real = target.maker().make(id, host);
    this.device = watched();
    for (int i = 0; i < device.queueSizes().size(); i++) {
      notifiers.add(EventFd.blocking());
    }
    this.transport =
        new MmioTransport(
            MmioPlan.X86_64.slot(0), device, guest.memory(), interrupt, List.copyOf(notifiers));
    findThreads();
    awaitRest();
  }

  /** The same, and what it throws is remembered. */
  private VirtioDevice watched() {
    return (VirtioDevice)
        Proxy.newProxyInstance(
            VirtioDevice.class.getClassLoader(),
            new Class<?>[] {VirtioDevice.class},
            (proxy, method, arguments) -> {
              try {
                return method.invoke(real, arguments);
              } catch (InvocationTargetException e) {
                thrown = e.getCause();
                throw e.getCause();
              }
            });
  }

  GuestLayout guest() {
    return guest;
  }

  Host host() {
    return host;
  }

  int queues() {
    return notifiers.size();
  }

  /** What the device threw at its transport, if anything. */
  @Nullable Throwable thrown() {
    return thrown;
  }

  List<Thread> threads() {
    return threads;
  }

  long read(int offset, int width) {
    return transport.read(offset, width);
  }

  void write(int offset, int width, long value) {
    if (offset == Register.STATUS
        || offset == Register.QUEUE_READY
        || offset == Register.QUEUE_RESET) {
      host.release(); // A queue that is stopped waits for what is under way.
    }
    transport.write(offset, width, value);
    if (offset == Register.STATUS) {
      findThreads();
    }
  }

  /** As KVM does where an ioeventfd is in place. */
  void notifyQueue(int index) {
    notifiers.get(index).signal();
  }

  /** Whether the guest's memory may come and go by other means than this device. */
  boolean leavesMemoryAlone() {
    return !(real instanceof MemoryDevice);
  }

  /** What the target's host side does by itself. */
  void hostEvent(int value) {
    target.event().happen(real, host, value);
  }

  /** Its host is as at first, and nothing is left in it of what was before. */
  void restore() {
    host.restore();
    target.event().undo(real, host, this::awaitRest);
    awaitRest();
  }

  /** Resets one queue alone, if that was negotiated (2.6.1.1). */
  void resetQueue(int index) {
    control(Register.QUEUE_SEL, index);
    control(Register.QUEUE_RESET, 1);
  }

  boolean takeInterrupt() {
    return interrupt.drain();
  }

  TransportInspection inspect() {
    return transport.inspect();
  }

  /** Until the device has done all that it can do now. */
  void awaitRest() {
    sleepers.awaitRest(threads);
    host.rested();
  }

  int status() {
    return (int) read(Register.STATUS, 4);
  }

  private void control(int register, int value) {
    write(register, 4, Integer.toUnsignedLong(value));
  }

  void reset() {
    control(Register.STATUS, DeviceStatus.RESET);
  }

  /** From reset to FEATURES_OK (VIRTIO 1.2, section 3.1.1). */
  void negotiate(long features) {
    reset();
    control(Register.STATUS, DeviceStatus.ACKNOWLEDGE);
    control(Register.STATUS, DRIVER);
    control(Register.DRIVER_FEATURES_SEL, 0);
    control(Register.DRIVER_FEATURES, (int) features);
    control(Register.DRIVER_FEATURES_SEL, 1);
    control(Register.DRIVER_FEATURES, (int) (features >>> 32));
    control(Register.STATUS, FEATURES_OK);
  }

  long offeredFeatures() {
    return device.features() | VirtioDevice.VERSION_1;
  }

  int maxQueueSize(int queue) {
    return Math.min(device.queueSizes().get(queue), GuestLayout.MAX_QUEUE_SIZE);
  }

  void setUpQueue(int index, QueueSetup setup) {
    control(Register.QUEUE_SEL, index);
    control(Register.QUEUE_NUM, setup.size());
    address(Register.QUEUE_DESC_LOW, setup.descriptorTable());
    address(Register.QUEUE_DRIVER_LOW, setup.availableRing());
    address(Register.QUEUE_DEVICE_LOW, setup.usedRing());
    control(Register.QUEUE_READY, 1);
  }

  private void address(int low, long address) {
    control(low, (int) address);
    control(low + 4, (int) (address >>> 32));
  }

  void driverOk() {
    control(Register.STATUS, DRIVER_OK);
  }

  boolean isLive() {
    return status() == DRIVER_OK;
  }

  private void findThreads() {
    ThreadGroup group = Thread.currentThread().getThreadGroup();
    Thread[] all = new Thread[group.activeCount() + 16];
    int count = group.enumerate(all, false);
    threads = Arrays.stream(all, 0, count).filter(thread -> thread.getName().contains(id)).toList();
    sleepers.forgetTheDead();
  }

  @Override
  public void close() {
    host.release();
    transport.close();
    notifiers.forEach(EventFd::close);
    interrupt.close();
    host.close();
  }
}
