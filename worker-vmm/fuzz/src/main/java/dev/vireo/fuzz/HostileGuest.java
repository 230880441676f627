package dev.vireo.fuzz;

import static dev.vireo.fuzz.GuestLayout.AVAILABLE;
import static dev.vireo.fuzz.GuestLayout.BUFFERS;
import static dev.vireo.fuzz.GuestLayout.DATA;
import static dev.vireo.fuzz.GuestLayout.HEADERS;
import static dev.vireo.fuzz.GuestLayout.HIGH;
import static dev.vireo.fuzz.GuestLayout.HIGH_BYTES;
import static dev.vireo.fuzz.GuestLayout.INDIRECT_TABLE;
import static dev.vireo.fuzz.GuestLayout.LOW_BYTES;
import static dev.vireo.fuzz.GuestLayout.STATUS;
import static dev.vireo.fuzz.GuestLayout.USED;

import dev.vireo.linux.LinuxException;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.HotplugRegion;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.mmio.Register;
import dev.vireo.vmm.virtio.mmio.TransportInspection;
import dev.vireo.vmm.virtio.queue.QueueSetup;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/** Carries out a program's operations, and keeps count of what it has offered the device. */
final class HostileGuest {
  private static final int NEXT = 1;
  private static final int WRITE = 2;
  private static final int INDIRECT = 4;
  private static final int DESCRIPTOR_BYTES = 16;
  private static final int TABLE_ENTRIES = 256;

  private static final int[] REGISTERS = {
    Register.STATUS,
    Register.QUEUE_NOTIFY,
    Register.QUEUE_READY,
    Register.QUEUE_SEL,
    Register.QUEUE_NUM,
    Register.QUEUE_NUM_MAX,
    Register.QUEUE_DESC_LOW,
    Register.QUEUE_DESC_HIGH,
    Register.QUEUE_DRIVER_LOW,
    Register.QUEUE_DRIVER_HIGH,
    Register.QUEUE_DEVICE_LOW,
    Register.QUEUE_DEVICE_HIGH,
    Register.INTERRUPT_STATUS,
    Register.INTERRUPT_ACK,
    Register.DEVICE_FEATURES,
    Register.DEVICE_FEATURES_SEL,
    Register.DRIVER_FEATURES,
    Register.DRIVER_FEATURES_SEL,
    Register.SHM_SEL,
    Register.SHM_LEN_LOW,
    Register.CONFIG_GENERATION,
    Register.CONFIG,
    Register.CONFIG + 1,
    Register.CONFIG + 2,
    Register.CONFIG + 8,
    Register.CONFIG + 12,
    Register.QUEUE_RESET
  };
  private static final int[] WIDTHS = {4, 1, 2, 8};

  /** Lengths at which something has gone wrong somewhere; shorter ones are given as they are. */
  private static final int[] LENGTHS = {
    0x7fff_ffff, 0x8000_0000, -1, -16, 0x1_0000, 0x1_0001, (int) LOW_BYTES, 0x10_0000
  };

  private static final int SPECIAL_LENGTHS = 0xf000;

  private final DeviceUnderTest device;
  private final GuestMemory memory;
  private final Target.Request request;
  private final byte[] header;
  private final Scribbler scribbler;
  private final int[] availableIndex;
  private final int[] sizes;
  private final long[] offered;
  private final long[] returnedBefore;

  /** Something was offered of which the device was not told: it may come upon it at any time. */
  private final boolean[] untold;

  private int queue;
  private boolean exact;

  HostileGuest(DeviceUnderTest device, Target.Request request, Scribbler scribbler) {
    this.device = device;
    this.memory = device.guest().memory();
    this.request = request;
    this.header = request.readableBytes();
    this.scribbler = scribbler;
    this.availableIndex = new int[device.queues()];
    this.sizes = new int[device.queues()];
    this.offered = new long[device.queues()];
    this.returnedBefore = new long[device.queues()];
    this.untold = new boolean[device.queues()];
  }

  /** Nothing of the last program is left. */
  void begin() {
    device.guest().zero();
    queue = 0;
    forgetRings(1);
  }

  void run(Operation operation) {
    int a = operation.a();
    int value = operation.value();
    switch (operation.kind()) {
      case READ_REGISTER -> {
        long ignored = device.read(register(operation), WIDTHS[operation.c() % WIDTHS.length]);
      }
      case WRITE_REGISTER -> writeRegister(operation);
      case NEGOTIATE -> negotiate(a, value);
      case SET_UP_QUEUE -> setUpQueue(operation);
      case DRIVER_OK -> device.driverOk();
      case START -> start(operation);
      case SELECT_QUEUE -> queue = a % device.queues();
      case DESCRIPTOR -> descriptor(operation);
      case MEMORY -> writeMemory(address(a, operation.b() | operation.c() << 8), value);
      case OFFER -> offer(operation.b() == 0 ? a : value);
      case AVAILABLE -> writeAvailable(a, value);
      case NOTIFY -> notifyQueue(a == Operation.CURRENT_QUEUE ? queue : a % device.queues());
      case REQUEST -> request(a, (operation.b() & 1) != 0);
      case RESET -> reset();
      case STOP_QUEUE -> {
        device.write(Register.QUEUE_SEL, 4, a % device.queues());
        device.write(Register.QUEUE_READY, 4, 0);
      }
      case HOST_FAULT ->
          device.host().failAfter(a % 8, Host.Fault.ALL.get(operation.b() % Host.Fault.ALL.size()));
      case ACKNOWLEDGE -> {
        boolean ignored = device.takeInterrupt();
        device.write(Register.INTERRUPT_ACK, 4, device.read(Register.INTERRUPT_STATUS, 4));
      }
      case SCRIBBLE -> {
        exact = false;
        scribbler.scribble(memory, GuestLayout.ring(queue), a, value);
      }
      case HOST_EVENT -> device.hostEvent(value);
      case RESET_QUEUE -> resetQueue(a % device.queues(), operation.b());
      case REQUESTS -> requests(a);
      case PLUG -> plug(a, operation.b(), (operation.c() & 1) != 0);
    }
    scribbler.awaitUnlessBeside(device);
  }

  // Registers

  private static int register(Operation operation) {
    int a = operation.a();
    return a < 128 ? REGISTERS[a % REGISTERS.length] : (a & 0xf) << 8 | operation.b();
  }

  private void writeRegister(Operation operation) {
    int register = register(operation);
    if (register == Register.STATUS && operation.value() == 0) {
      reset();
      return;
    }
    if (register >= Register.QUEUE_SEL && register <= Register.QUEUE_DEVICE_HIGH) {
      exact &= register == Register.QUEUE_NOTIFY || register == Register.INTERRUPT_ACK;
    }
    exact &= register != Register.QUEUE_RESET; // After it, chains are there to be taken again.
    device.write(
        register, WIDTHS[operation.c() % WIDTHS.length], Integer.toUnsignedLong(operation.value()));
  }

  /** With a of 0 the driver does not even accept VERSION_1, which it must. */
  private void negotiate(int a, int value) {
    reset();
    emptyRings();
    long high = (long) (a & 0x7f) << 32 | ((a & 0x80) == 0 ? 0 : VirtioDevice.RING_RESET);
    long wanted = Integer.toUnsignedLong(value) | high;
    device.negotiate(wanted & device.offeredFeatures());
  }

  private void emptyRings() {
    device.guest().zeroRings();
    exact = true;
  }

  private void setUpQueue(Operation operation) {
    int index = operation.a() % device.queues();
    int size = 1 << (operation.b() & 0xf);
    QueueSetup place = GuestLayout.queue(index, size);
    if (operation.value() != 0) {
      long elsewhere = address(operation.value() >>> 28, operation.value() & 0xf_ffff);
      place =
          switch (operation.c() % 3) {
            case 0 -> new QueueSetup(size, elsewhere, place.availableRing(), place.usedRing());
            case 1 -> new QueueSetup(size, place.descriptorTable(), elsewhere, place.usedRing());
            default ->
                new QueueSetup(size, place.descriptorTable(), place.availableRing(), elsewhere);
          };
    }
    exact &= operation.value() == 0 && size <= device.maxQueueSize(index);
    sizes[index] = size;
    device.setUpQueue(index, place);
  }

  private void start(Operation operation) {
    negotiate(operation.a(), operation.value());
    for (int i = 0; i < device.queues(); i++) {
      sizes[i] = Math.min(1 << (operation.b() & 0xf), device.maxQueueSize(i));
      device.setUpQueue(i, GuestLayout.queue(i, sizes[i]));
    }
    device.driverOk();
  }

  private void reset() {
    checkReturned();
    device.reset();
    forgetRings(GuestLayout.MAX_QUEUE_SIZE);
  }

  /** What it did with the queue before must not show in how that is served after it. */
  private void resetQueue(int index, int b) {
    boolean possible =
        device.isLive() && (device.inspect().driverFeatures() & VirtioDevice.RING_RESET) != 0;
    device.resetQueue(index);
    if (possible && device.read(Register.QUEUE_READY, 4) != 0) {
      throw new Finding("queue " + index + " is ready after its reset");
    }
    if ((b & 1) == 0) {
      exact = false; // What it had offered may be taken again.
      return;
    }
    checkReturned();
    device.guest().zeroRing(index);
    availableIndex[index] = 0;
    if (possible) { // From here on it counts what it gives the new ring.
      offered[index] = 0;
      returnedBefore[index] = device.inspect().queues().get(index).requests();
    }
    sizes[index] = Math.min(1 << Math.max(3, b >>> 1 & 0xf), device.maxQueueSize(index));
    device.setUpQueue(index, GuestLayout.queue(index, sizes[index]));
    if (possible && exact && index == request.queue()) {
      requestAfterReset();
    }
  }

  /** Answered as it should be, if the device need not wait for what others do. */
  private void requestAfterReset() {
    if (!device.isLive()) {
      if (scribbler.isBeside()) {
        return; // Broken by what was still on its way through some queue when this one was reset.
      }
      if (isAnyOtherUntold()) {
        return;
      }
      throw new Finding("not live after the reset of a queue: status " + device.status());
    }
    device.host().heal();
    request(0, false);
    notifyQueue(request.queue());
    scribbler.awaitUnlessBeside(device);
    long used = GuestLayout.ring(request.queue()) + USED;
    int index = Short.toUnsignedInt(memory.getShort(used + 2));
    if (index > 1 || (index == 1 && !isAnswer(used + 4))) {
      throw new Finding(
          "after the reset of a queue: used index %d, head %d with %d bytes"
              .formatted(index, memory.getInt(used + 4), memory.getInt(used + 8)));
    }
  }

  private boolean isAnyOtherUntold() {
    return IntStream.range(0, untold.length).anyMatch(i -> i != request.queue() && untold[i]);
  }

  private boolean isAnswer(long element) {
    return memory.getInt(element) == 0 && memory.getInt(element + 4) == request.written();
  }

  private void forgetRings(int size) {
    Arrays.fill(availableIndex, 0);
    Arrays.fill(offered, 0);
    Arrays.fill(untold, false);
    Arrays.fill(sizes, size);
    List<TransportInspection.Queue> queues = device.inspect().queues();
    for (int i = 0; i < returnedBefore.length; i++) {
      returnedBefore[i] = queues.get(i).requests();
    }
    exact = false; // Until they are empty.
  }

  // Memory

  /** A place in one of 16 areas, of which some are none. */
  private long address(int area, int offset) {
    return switch (area & 0xf) {
      case 0 -> GuestLayout.ring(queue) + (offset & 0xfff);
      case 1 -> GuestLayout.ring(queue) + AVAILABLE + (offset & 0x3ff);
      case 2 -> GuestLayout.ring(queue) + USED + (offset & 0xfff);
      case 3 -> INDIRECT_TABLE + (offset & 0xfff);
      case 4 -> HEADERS + (offset & 0xfff);
      case 5, 6 -> DATA + (offset & 0xfff);
      case 7 -> STATUS + (offset & 0xff);
      case 8 -> offset;
      case 9 -> HIGH + (offset & 0xffff);
      case 10 -> LOW_BYTES - (offset & 0x1fff);
      case 11 -> HIGH + HIGH_BYTES - (offset & 0x1fff);
      case 12 -> HIGH - (offset & 0xffff);
      case 13 -> -(long) offset;
      case 14 -> Long.MAX_VALUE - offset;
      default -> GuestLayout.PLUGGABLE.base() + (offset & 0x1_ffff);
    };
  }

  private void writeMemory(long address, int value) {
    exact &= !reachesRings(address, Integer.BYTES);
    if (memory.contains(address, Integer.BYTES)) {
      memory.putInt(address, value);
    }
  }

  /** Whether writing there may change what the device finds in the rings. */
  private static boolean reachesRings(long address, long length) {
    return address >= 0 && address < BUFFERS && address + length > 0;
  }

  private void descriptor(Operation operation) {
    long table = (operation.b() & 0x18) == 0 ? GuestLayout.ring(queue) : INDIRECT_TABLE;
    int value = operation.value();
    int coded = value & 0xffff;
    int length =
        coded < SPECIAL_LENGTHS ? coded : LENGTHS[(coded - SPECIAL_LENGTHS) % LENGTHS.length];
    long address = address(value >>> 28, value >>> 16 & 0xfff);
    int flags = operation.b() & 7;
    if ((flags & INDIRECT) != 0 && (operation.b() & 0x20) != 0) {
      address = INDIRECT_TABLE;
    } else if ((flags & WRITE) != 0) {
      exact &= !reachesRings(address, Integer.toUnsignedLong(length));
    }
    descriptor(table, operation.a(), address, length, flags, operation.c());
  }

  private void descriptor(long table, int index, long address, int length, int flags, int next) {
    long at = table + (long) (index % TABLE_ENTRIES) * DESCRIPTOR_BYTES;
    memory.putLong(at, address);
    memory.putInt(at + 8, length);
    memory.putShort(at + 12, (short) flags);
    memory.putShort(at + 14, (short) next);
  }

  private void offer(int head) {
    long ring = GuestLayout.ring(queue) + AVAILABLE;
    int slot = availableIndex[queue] & (Math.min(sizes[queue], TABLE_ENTRIES) - 1);
    memory.putShort(ring + 4 + 2L * slot, (short) head);
    availableIndex[queue] = (availableIndex[queue] + 1) & 0xffff;
    memory.putShortRelease(ring + 2, (short) availableIndex[queue]);
    offered[queue]++;
    untold[queue] = true;
  }

  private void notifyQueue(int index) {
    device.notifyQueue(index);
    untold[index] = false;
  }

  /** Makes more available in every queue, where it was last. */
  void offerEverywhere() {
    for (int i = 0; i < device.queues(); i++) {
      long index = GuestLayout.ring(i) + AVAILABLE + 2;
      memory.putShort(index, (short) (memory.getShort(index) + 1));
    }
  }

  private void writeAvailable(int which, int value) {
    long ring = GuestLayout.ring(queue) + AVAILABLE;
    switch (which % 3) {
      case 0 -> {
        exact = false;
        availableIndex[queue] = value & 0xffff;
        memory.putShortRelease(ring + 2, (short) value);
      }
      case 1 -> memory.putShort(ring, (short) value);
      default -> memory.putShort(ring + 4 + 2L * sizes[queue], (short) value);
    }
  }

  private void requests(int last) {
    int size = Math.min(sizes[request.queue()], TABLE_ENTRIES);
    for (int head = 0; head <= last && head < size; head++) {
      request(head, true);
    }
  }

  /** As a driver does with a memory device that is beside this one. */
  private void plug(int a, int b, boolean come) {
    HotplugRegion region = memory.hotplug().orElseThrow();
    int blocks = region.layout().blocks();
    int first = a % blocks;
    int count = 1 + b % (blocks - first);
    if (!device.leavesMemoryAlone() || region.countPlugged(first, count) != (come ? 0 : count)) {
      return;
    }
    try {
      if (come) {
        region.plug(first, count);
      } else {
        region.unplug(first, count);
      }
    } catch (LinuxException e) { // As it was to: then nothing has changed.
      return;
    }
  }

  /** Header, data, and the last byte apart, as most drivers do. */
  private void request(int head, boolean indirect) {
    queue = request.queue();
    int size = Math.min(sizes[queue], TABLE_ENTRIES);
    int first = head & (size - 1);
    long table = GuestLayout.ring(queue);
    int entry = first;
    if (indirect) {
      table = INDIRECT_TABLE;
      entry = 0;
      size = TABLE_ENTRIES;
      descriptor(GuestLayout.ring(queue), first, INDIRECT_TABLE, 0, INDIRECT, 0);
    }
    int count = 0;
    if (header.length > 0) {
      memory.write(HEADERS, header);
      boolean more = request.writable() > 0;
      descriptor(table, entry, HEADERS, header.length, more ? NEXT : 0, (entry + 1) % size);
      entry = (entry + 1) % size;
      count++;
    }
    if (request.writable() > 1) {
      descriptor(table, entry, DATA, request.writable() - 1, NEXT | WRITE, (entry + 1) % size);
      entry = (entry + 1) % size;
      count++;
    }
    if (request.writable() > 0) {
      descriptor(table, entry, STATUS, 1, WRITE, 0);
      count++;
    }
    if (indirect) {
      memory.putInt(GuestLayout.ring(queue) + 16L * first + 8, count * DESCRIPTOR_BYTES);
    }
    offer(first);
  }

  // What must hold

  /** The device cannot return more than it was offered. */
  void checkReturned() {
    scribbler.await();
    device.awaitRest();
    if (!exact) {
      return;
    }
    for (int i = 0; i < offered.length; i++) {
      long returned = device.inspect().queues().get(i).requests() - returnedBefore[i];
      if (returned > offered[i]) {
        throw new Finding(returned + " chains returned of " + offered[i] + " offered, queue " + i);
      }
    }
  }

  /**
   * Resets the device, and uses it as a good driver does.
   *
   * @param features to be accepted, of those offered
   */
  void useWell(long features) {
    reset();
    emptyRings();
    device.negotiate(features | VirtioDevice.VERSION_1);
    for (int i = 0; i < device.queues(); i++) {
      sizes[i] = device.maxQueueSize(i);
      device.setUpQueue(i, GuestLayout.queue(i, sizes[i]));
    }
    device.driverOk();
    requestWell();
  }

  /** A request to a device that is live, answered as it should be. */
  void requestWell() {
    if (!device.isLive()) {
      throw new Finding("not live: status " + device.status());
    }
    long used = GuestLayout.ring(request.queue()) + USED;
    int before = Short.toUnsignedInt(memory.getShort(used + 2));
    request(0, false);
    notifyQueue(request.queue());
    device.awaitRest();
    int after = Short.toUnsignedInt(memory.getShort(used + 2));
    if (after != ((before + 1) & 0xffff)) {
      throw new Finding("used index from %d to %d".formatted(before, after));
    }
    long element = used + 4 + 8L * (before & (sizes[request.queue()] - 1));
    if (!isAnswer(element)) {
      throw new Finding(
          "head %d with %d bytes returned"
              .formatted(memory.getInt(element), memory.getInt(element + 4)));
    }
  }
}
