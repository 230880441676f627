package dev.vireo.vmm.virtio.mmio;

import dev.vireo.vmm.trace.TracePoint;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.QueueRecorder;
import dev.vireo.vmm.virtio.queue.QueueSetup;

/** What the registers behind QueueSel hold for one queue. Written under the transport's lock. */
final class QueueRegisters {
  private static final long LOW = 0xffff_ffffL;

  final int maxSize;
  final QueueConnection connection;
  final TracePoint<QueueRecorder> trace = new TracePoint<>();
  volatile int size;
  volatile boolean ready;

  /** Its driver reset it alone, and may set it up again while the device is live (2.6.1.2). */
  boolean wasReset;

  long descriptorTable;
  long driverArea;
  long deviceArea;

  QueueRegisters(int maxSize, QueueConnection connection) {
    this.maxSize = maxSize;
    this.connection = connection;
  }

  void reset() {
    size = 0;
    ready = false;
    wasReset = false;
    descriptorTable = 0;
    driverArea = 0;
    deviceArea = 0;
  }

  /** Stores half of an address. */
  void setAddress(int register, int value) {
    switch (register) {
      case Register.QUEUE_DESC_LOW -> descriptorTable = withLow(descriptorTable, value);
      case Register.QUEUE_DESC_HIGH -> descriptorTable = withHigh(descriptorTable, value);
      case Register.QUEUE_DRIVER_LOW -> driverArea = withLow(driverArea, value);
      case Register.QUEUE_DRIVER_HIGH -> driverArea = withHigh(driverArea, value);
      case Register.QUEUE_DEVICE_LOW -> deviceArea = withLow(deviceArea, value);
      case Register.QUEUE_DEVICE_HIGH -> deviceArea = withHigh(deviceArea, value);
      default -> throw new IllegalArgumentException("no address register: " + register);
    }
  }

  QueueSetup setup() {
    return new QueueSetup(size, descriptorTable, driverArea, deviceArea);
  }

  private static long withLow(long address, int value) {
    return (address & ~LOW) | (value & LOW);
  }

  private static long withHigh(long address, int value) {
    return (address & LOW) | (long) value << 32;
  }
}
