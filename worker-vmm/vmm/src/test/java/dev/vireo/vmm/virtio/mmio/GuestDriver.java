package dev.vireo.vmm.virtio.mmio;

import static dev.vireo.vmm.virtio.DeviceStatus.ACKNOWLEDGE;
import static dev.vireo.vmm.virtio.DeviceStatus.DRIVER;
import static dev.vireo.vmm.virtio.DeviceStatus.DRIVER_OK;
import static dev.vireo.vmm.virtio.DeviceStatus.FEATURES_OK;

import dev.vireo.linux.EventFd;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.queue.GuestRing;
import dev.vireo.vmm.virtio.queue.QueueSetup;

/**
 * A guest's driver of one queue, seen from the registers: it initializes a device as VIRTIO 1.2,
 * section 3.1.1 says, in steps, so that a test can go wrong at any of them.
 */
public final class GuestDriver {
  private final MmioTransport transport;
  private final GuestRing ring;

  public GuestDriver(MmioTransport transport, GuestRing ring) {
    this.transport = transport;
    this.ring = ring;
  }

  public int read(int register) {
    return (int) transport.read(register, 4);
  }

  public void write(int register, int value) {
    transport.write(register, 4, Integer.toUnsignedLong(value));
  }

  public int status() {
    return read(Register.STATUS);
  }

  public void status(int value) {
    write(Register.STATUS, value);
  }

  public void reset() {
    status(0);
  }

  public long deviceFeatures() {
    write(Register.DEVICE_FEATURES_SEL, 1);
    long high = Integer.toUnsignedLong(read(Register.DEVICE_FEATURES));
    write(Register.DEVICE_FEATURES_SEL, 0);
    return high << 32 | Integer.toUnsignedLong(read(Register.DEVICE_FEATURES));
  }

  public void driverFeatures(long features) {
    write(Register.DRIVER_FEATURES_SEL, 0);
    write(Register.DRIVER_FEATURES, (int) features);
    write(Register.DRIVER_FEATURES_SEL, 1);
    write(Register.DRIVER_FEATURES, (int) (features >>> 32));
  }

  /** Reset, ACKNOWLEDGE, DRIVER. */
  public void begin() {
    reset();
    status(ACKNOWLEDGE);
    status(ACKNOWLEDGE | DRIVER);
  }

  /** Up to FEATURES_OK with {@code features}, VERSION_1 added. */
  public void negotiate(long features) {
    begin();
    driverFeatures(features | VirtioDevice.VERSION_1);
    status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
  }

  /** Sets queue {@code index} up as the ring has it. */
  public void setUpQueue(int index) {
    setUpQueue(index, ring.setup());
  }

  public void setUpQueue(int index, QueueSetup setup) {
    write(Register.QUEUE_SEL, index);
    write(Register.QUEUE_NUM, setup.size());
    writeAddress(Register.QUEUE_DESC_LOW, setup.descriptorTable());
    writeAddress(Register.QUEUE_DRIVER_LOW, setup.availableRing());
    writeAddress(Register.QUEUE_DEVICE_LOW, setup.usedRing());
    write(Register.QUEUE_READY, 1);
  }

  /** Resets one queue alone (2.6.1.1). */
  public void resetQueue(int index) {
    write(Register.QUEUE_SEL, index);
    write(Register.QUEUE_RESET, 1);
  }

  private void writeAddress(int lowRegister, long address) {
    write(lowRegister, (int) address);
    write(lowRegister + 4, (int) (address >>> 32));
  }

  public void ready() {
    status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
  }

  /** All of it: a device with queue 0 live. */
  public void initialize(long features) {
    ring.clear();
    negotiate(features);
    setUpQueue(0);
    ready();
  }

  /** As KVM does where an ioeventfd is in place. */
  public static void notifyBy(EventFd notifier) {
    notifier.signal();
  }

  /** InterruptStatus, acknowledged. */
  public int takeInterrupt() {
    int bits = read(Register.INTERRUPT_STATUS);
    write(Register.INTERRUPT_ACK, bits);
    return bits;
  }
}
