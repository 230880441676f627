package dev.vireo.vmm.virtio.mmio;

import dev.vireo.catalog.DeviceSlot;
import dev.vireo.linux.EventFd;
import dev.vireo.linux.MonotonicClock;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.GuestMemoryException;
import dev.vireo.vmm.trace.TraceFilter;
import dev.vireo.vmm.trace.TraceRing;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.DeviceStatus;
import dev.vireo.vmm.virtio.DriverSignals;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.QueueCounters;
import dev.vireo.vmm.virtio.queue.QueueRecorder;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import dev.vireo.vmm.virtio.queue.VirtqueueException;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * A virtio-mmio device's registers, version 2 (VIRTIO 1.2, section 4.2). vCPU threads read and
 * write them; nothing a guest writes makes them throw. What is not legal is counted by reason and
 * changes nothing, or ends in DEVICE_NEEDS_RESET.
 *
 * <p>What can be read is in the {@link RegisterPage}, whether the guest reads that itself or by
 * exits. One lock serializes the vCPUs' writes. The device's threads never take it: they must not
 * wait for a vCPU that waits for them. They set bits of Status and InterruptStatus under the page's
 * lock, as acknowledgements clear them, and nobody holds that for longer than a store.
 */
public final class MmioTransport implements DriverSignals, AutoCloseable {
  /** "virt", little-endian. */
  private static final int MAGIC = 0x74726976;

  private static final int VERSION = 2;

  /** "VREO", little-endian. */
  private static final int VENDOR = 0x4f455256;

  private static final int ALL_ONES = -1;
  private static final long LOW_WORD = 0xffff_ffffL;

  private final DeviceSlot slot;
  private final VirtioDevice device;
  private final GuestMemory memory;
  private final InterruptRegisters interrupts;
  private final RegisterPage page;
  private final List<QueueRegisters> queues = new ArrayList<>();
  private final EnumCounters<RegisterClass> exits = new EnumCounters<>(RegisterClass.class);
  private final EnumCounters<IllegalUse> illegalUses = new EnumCounters<>(IllegalUse.class);

  private final Object lock = new Object();
  private int deviceFeaturesSelect;
  private int driverFeaturesSelect;
  private int queueSelect;
  private boolean closed;
  private @Nullable Activation activation;
  private volatile long driverFeatures;
  private volatile long exitsBeforeDriverOk;

  /**
   * @param slot where the registers are
   * @param device closed with this transport
   * @param interrupts which raise the slot's GSI; closed with this transport, their page too
   * @param notifiers one for each of the device's queues, signalled by a guest's write of the
   *     queue's index to QueueNotify; blocking
   */
  public MmioTransport(
      DeviceSlot slot,
      VirtioDevice device,
      GuestMemory memory,
      InterruptRegisters interrupts,
      List<EventFd> notifiers) {
    List<Integer> sizes = device.queueSizes();
    if (notifiers.size() != sizes.size()) {
      throw new IllegalArgumentException(
          "%d notifiers for %d queues".formatted(notifiers.size(), sizes.size()));
    }
    this.slot = slot;
    this.device = device;
    this.memory = memory;
    this.interrupts = interrupts;
    this.page = interrupts.page();
    for (int i = 0; i < sizes.size(); i++) {
      QueueConnection connection = new QueueConnection(notifiers.get(i), new QueueCounters());
      queues.add(new QueueRegisters(sizes.get(i), connection));
    }
    List<QueueConnection> connections = new ArrayList<>();
    for (QueueRegisters queue : queues) {
      connections.add(queue.connection);
    }
    device.connect(List.copyOf(connections));
    fillPage();
  }

  /** With registers that only exits read: {@link RegisterAccess#CLASSIC}. */
  public MmioTransport(
      DeviceSlot slot,
      VirtioDevice device,
      GuestMemory memory,
      EventFd interrupt,
      List<EventFd> notifiers) {
    this(
        slot,
        device,
        memory,
        new InterruptRegisters(RegisterAccess.CLASSIC, new RegisterPage(), interrupt),
        notifiers);
  }

  private void fillPage() {
    page.set(Register.MAGIC_VALUE, MAGIC);
    page.set(Register.VERSION, VERSION);
    page.set(Register.DEVICE_ID, device.backEnd().model().virtioId());
    page.set(Register.VENDOR_ID, VENDOR);
    // 4.2.2: a shared memory region that does not exist has a length of −1. No device here has one.
    page.set(Register.SHM_LEN_LOW, ALL_ONES);
    page.set(Register.SHM_LEN_HIGH, ALL_ONES);
    page.set(Register.SHM_BASE_LOW, ALL_ONES);
    page.set(Register.SHM_BASE_HIGH, ALL_ONES);
    putConfig();
    showSelectedFeatures();
    showSelectedQueue();
  }

  /** Under the page's lock, so that the newest is shown last: queues' threads have changes too. */
  private void putConfig() {
    synchronized (page) {
      page.putConfig(config());
    }
  }

  /** Likewise. */
  private void replaceConfig() {
    synchronized (page) {
      page.replaceConfig(config());
    }
  }

  private byte[] config() {
    byte[] config = new byte[device.configLength()];
    for (int i = 0; i < config.length; i++) {
      config[i] = device.readConfig(i);
    }
    return config;
  }

  public DeviceSlot slot() {
    return slot;
  }

  public VirtioDevice device() {
    return device;
  }

  public RegisterAccess registerAccess() {
    return interrupts.access();
  }

  /**
   * A vCPU reads {@code width} bytes at {@code offset} from the slot's base.
   *
   * @return the value, zero-extended
   */
  public long read(int offset, int width) {
    exits.increment(RegisterClass.of(offset));
    if (offset >= Register.CONFIG) {
      return isConfigAccess(width)
          ? page.readConfig(offset - Register.CONFIG, width)
          : illegal(IllegalUse.ACCESS_WIDTH);
    }
    if (!isControlAccess(offset, width)) {
      return illegal(IllegalUse.ACCESS_WIDTH);
    }
    return Register.isReadable(offset)
        ? Integer.toUnsignedLong(page.get(offset))
        : illegal(IllegalUse.NO_SUCH_REGISTER);
  }

  /**
   * A vCPU writes the lower {@code width} bytes of {@code value} at {@code offset} from the slot's
   * base.
   */
  public void write(int offset, int width, long value) {
    exits.increment(RegisterClass.of(offset));
    if (offset == Register.INTERRUPT_ACK && width == 4) {
      interrupts.acknowledge((int) value);
      return;
    }
    synchronized (lock) {
      if (offset >= Register.CONFIG) {
        writeConfig(offset - Register.CONFIG, width, value);
      } else if (isControlAccess(offset, width)) {
        writeControl(offset, (int) value);
      } else {
        illegal(IllegalUse.ACCESS_WIDTH);
      }
    }
  }

  /**
   * 4.2.2.2: "The driver MUST only use 32 bit wide and aligned reads and writes to access the
   * control registers".
   */
  private static boolean isControlAccess(int offset, int width) {
    return width == 4 && offset % 4 == 0;
  }

  private void writeControl(int register, int value) {
    switch (register) {
      case Register.DEVICE_FEATURES_SEL -> {
        deviceFeaturesSelect = value;
        showSelectedFeatures();
      }
      case Register.DRIVER_FEATURES_SEL -> driverFeaturesSelect = value;
      case Register.DRIVER_FEATURES -> writeDriverFeatures(value);
      case Register.QUEUE_SEL -> {
        queueSelect = value;
        showSelectedQueue();
      }
      case Register.QUEUE_NUM -> writeQueueSize(value);
      case Register.QUEUE_READY -> writeQueueReady(value);
      case Register.QUEUE_RESET -> writeQueueReset(value);
      case Register.QUEUE_NOTIFY -> writeQueueNotify(value);
      case Register.STATUS -> writeStatus(value);
      case Register.QUEUE_DESC_LOW,
          Register.QUEUE_DESC_HIGH,
          Register.QUEUE_DRIVER_LOW,
          Register.QUEUE_DRIVER_HIGH,
          Register.QUEUE_DEVICE_LOW,
          Register.QUEUE_DEVICE_HIGH -> {
        QueueRegisters queue = queueToSetUp();
        if (queue != null) {
          queue.setAddress(register, value);
        }
      }
      case Register.SHM_SEL -> {} // Whichever: there is none.
      default -> illegal(IllegalUse.NO_SUCH_REGISTER);
    }
  }

  // Features (section 2.2)

  private long offeredFeatures() {
    return device.features() | VirtioDevice.VERSION_1;
  }

  /** 32 bits of 64, and zero for those beyond. */
  private void showSelectedFeatures() {
    long word =
        switch (deviceFeaturesSelect) {
          case 0 -> offeredFeatures();
          case 1 -> offeredFeatures() >>> 32;
          default -> 0;
        };
    page.set(Register.DEVICE_FEATURES, (int) word);
  }

  private void writeDriverFeatures(int value) {
    int now = status();
    if (!DeviceStatus.has(now, DeviceStatus.DRIVER)
        || DeviceStatus.has(now, DeviceStatus.FEATURES_OK)) {
      illegal(IllegalUse.FEATURES_FROZEN);
      return;
    }
    long word = Integer.toUnsignedLong(value);
    switch (driverFeaturesSelect) {
      case 0 -> driverFeatures = (driverFeatures & ~LOW_WORD) | word;
      case 1 -> driverFeatures = (driverFeatures & LOW_WORD) | word << 32;
      default -> {
        if (word != 0) { // Linux writes the words there are; zeros beyond them are harmless.
          illegal(IllegalUse.FEATURES_REFUSED);
        }
      }
    }
  }

  // Status (section 2.1)

  private void writeStatus(int value) {
    if (value == DeviceStatus.RESET) {
      reset();
      return;
    }
    int current = status() & ~DeviceStatus.NEEDS_RESET;
    int wanted =
        value
            & ~DeviceStatus.NEEDS_RESET; // The device's bit: written back by drivers that read it.
    if (wanted == current) {
      return;
    }
    if (wanted == (current | DeviceStatus.FAILED)) {
      setStatus(DeviceStatus.FAILED);
    } else if (!DeviceStatus.isStep(current, wanted) || needsReset()) {
      illegal(IllegalUse.STATUS_STEP);
    } else {
      take(wanted & ~current);
    }
  }

  private void take(int step) {
    switch (step) {
      case DeviceStatus.FEATURES_OK -> acceptFeatures();
      case DeviceStatus.DRIVER_OK -> activate();
      default -> setStatus(step);
    }
  }

  /**
   * 2.2.2: "The device […] MUST NOT set FEATURES_OK" for a subset it cannot work with; the driver
   * reads it back.
   */
  private void acceptFeatures() {
    boolean offered = (driverFeatures & ~offeredFeatures()) == 0;
    if (offered
        && (driverFeatures & VirtioDevice.VERSION_1) != 0
        && device.accepts(driverFeatures)) {
      setStatus(DeviceStatus.FEATURES_OK);
    } else {
      illegal(IllegalUse.FEATURES_REFUSED);
    }
  }

  private void activate() {
    exitsBeforeDriverOk = exits.sum();
    setStatus(DeviceStatus.DRIVER_OK);
    try {
      List<Optional<Virtqueue>> rings = new ArrayList<>();
      for (QueueRegisters queue : queues) {
        rings.add(queue.ready ? Optional.of(ring(queue)) : Optional.empty());
      }
      Activation current = new Activation(driverFeatures, memory, rings, this);
      activation = current;
      device.activate(current);
    } catch (RuntimeException | Error e) {
      device.deactivate();
      breakDown(IllegalUse.ACTIVATION, e);
    }
  }

  private Virtqueue ring(QueueRegisters queue) {
    return new Virtqueue(memory, queue.setup(), driverFeatures, queue.trace);
  }

  /**
   * 2.4.1: "A device MUST NOT send notifications or interact with the queues after indicating
   * completion of the reset". The guest is held in its write until what is in flight has drained,
   * so no driver can be too quick.
   */
  private void reset() {
    device.deactivate();
    activation = null;
    queues.forEach(QueueRegisters::reset);
    driverFeatures = 0;
    deviceFeaturesSelect = 0;
    driverFeaturesSelect = 0;
    queueSelect = 0;
    showSelectedFeatures();
    showSelectedQueue();
    interrupts.reset();
    putConfig(); // Without what the last driver wrote.
    page.set(Register.STATUS, DeviceStatus.RESET);
  }

  private int status() {
    return page.get(Register.STATUS);
  }

  private void setStatus(int bits) {
    page.setBits(Register.STATUS, bits);
  }

  private boolean hasStatus(int bits) {
    return DeviceStatus.has(status(), bits);
  }

  private boolean needsReset() {
    return hasStatus(DeviceStatus.NEEDS_RESET);
  }

  // Queues (section 4.2.3.2)

  private @Nullable QueueRegisters selectedQueue() {
    boolean exists = queueSelect >= 0 && queueSelect < queues.size();
    return exists ? queues.get(queueSelect) : null;
  }

  /** 4.2.2: a QueueNumMax of zero means that there is no such queue. */
  private void showSelectedQueue() {
    QueueRegisters queue = selectedQueue();
    page.set(Register.QUEUE_NUM_MAX, queue == null ? 0 : queue.maxSize);
    page.set(Register.QUEUE_READY, queue != null && queue.ready ? 1 : 0);
  }

  /** The selected queue, if this is the time to set it up. */
  private @Nullable QueueRegisters queueToSetUp() {
    QueueRegisters queue = selectedQueue();
    if (queue == null) {
      illegal(IllegalUse.QUEUE_SELECT);
      return null;
    }
    boolean frozen = hasStatus(DeviceStatus.DRIVER_OK) && !queue.wasReset;
    if (!hasStatus(DeviceStatus.FEATURES_OK) || frozen || queue.ready) {
      illegal(IllegalUse.QUEUE_FROZEN);
      return null;
    }
    return queue;
  }

  private void writeQueueSize(int value) {
    QueueRegisters queue = queueToSetUp();
    if (queue == null) {
      return;
    }
    // All 32 bits count: 0x10100 is not 256.
    if (value < 1 || value > queue.maxSize || Integer.bitCount(value) != 1) {
      illegal(IllegalUse.QUEUE_SIZE);
      return;
    }
    queue.size = value;
  }

  private void writeQueueReady(int value) {
    switch (value) {
      case 0 -> stopQueue();
      case 1 -> {
        QueueRegisters queue = queueToSetUp();
        if (queue != null && queue.size != 0) {
          queue.ready = true;
          queue.wasReset = false;
          showSelectedQueue();
          startIfLive(queue);
        } else if (queue != null) {
          illegal(IllegalUse.QUEUE_READY);
        }
      }
      default -> illegal(IllegalUse.QUEUE_READY);
    }
  }

  /**
   * 4.2.2.2: after writing zero the driver reads it back "to ensure synchronization"; here the
   * write has done it.
   */
  private void stopQueue() {
    QueueRegisters queue = selectedQueue();
    if (queue == null) {
      illegal(IllegalUse.QUEUE_SELECT);
      return;
    }
    if (queue.ready && hasStatus(DeviceStatus.DRIVER_OK)) {
      device.stopQueue(queueSelect);
    }
    queue.ready = false;
    showSelectedQueue();
  }

  /**
   * 2.6.1.2: a queue that was reset is set up again as it was at first, and served from then on.
   */
  private void startIfLive(QueueRegisters queue) {
    if (activation == null || needsReset()) {
      return;
    }
    try {
      device.startQueue(queueSelect, ring(queue), activation);
    } catch (RuntimeException | Error e) {
      breakDown(IllegalUse.ACTIVATION, e);
    }
  }

  /**
   * 4.2.2.1: "The device MUST reset the queue when 1 is written to QueueReset", and present 0 in
   * QueueReset and QueueReady "when queue reset has completed", which it has when the write
   * returns.
   */
  private void writeQueueReset(int value) {
    if (value != 1 || (driverFeatures & VirtioDevice.RING_RESET) == 0) {
      illegal(IllegalUse.QUEUE_RESET);
      return;
    }
    stopQueue();
    QueueRegisters queue = selectedQueue();
    if (queue != null) {
      queue.reset();
      queue.wasReset = true;
    }
  }

  /**
   * Where no ioeventfd took the write: a queue that does not exist, a wrong width, or a machine
   * without them.
   */
  private void writeQueueNotify(int queue) {
    if (!hasStatus(DeviceStatus.DRIVER_OK) || queue < 0 || queue >= queues.size()) {
      illegal(IllegalUse.NOTIFICATION);
      return;
    }
    queues.get(queue).connection.notifier().signal();
  }

  // Configuration space (sections 2.5, 4.2.2.2: any of its bytes, by 1, 2 or 4)

  private static boolean isConfigAccess(int width) {
    return width == 1 || width == 2 || width == 4;
  }

  private void writeConfig(int offset, int width, long value) {
    if (!isConfigAccess(width)) {
      illegal(IllegalUse.ACCESS_WIDTH);
      return;
    }
    boolean written = offset < device.configLength();
    for (int i = 0; i < width && offset + i < device.configLength(); i++) {
      written &= device.writeConfig(offset + i, (byte) (value >>> (8 * i)));
    }
    if (!written) {
      illegal(IllegalUse.CONFIG_READ_ONLY);
    }
    putConfig();
  }

  // Signals to the driver

  @Override
  public void usedBuffers() {
    interrupts.raise(InterruptRegisters.USED_BUFFER);
  }

  @Override
  public void needsReset(Throwable cause) {
    breakDown(isOfTheGuest(cause) ? IllegalUse.RING : IllegalUse.DEVICE_FAILURE, cause);
  }

  /** An illegal ring; or one, or a buffer, whose memory the guest has unplugged meanwhile. */
  private static boolean isOfTheGuest(Throwable cause) {
    return cause instanceof VirtqueueException || cause instanceof GuestMemoryException;
  }

  /**
   * 2.1.2: "If DRIVER_OK is set, after it sets DEVICE_NEEDS_RESET, the device MUST send a device
   * configuration change notification". Logged once for each reason: a guest can do this as often
   * as it likes.
   */
  private void breakDown(IllegalUse reason, Throwable cause) {
    illegal(reason);
    if (illegalUses.get(reason) == 1) {
      report(reason, cause);
    }
    setStatus(DeviceStatus.NEEDS_RESET);
    signalConfigurationChange();
  }

  @SuppressWarnings({"SystemOut", "PrintStackTrace"}) // The VMM's log is stderr.
  private void report(IllegalUse reason, Throwable cause) {
    System.err.println(device.id() + " needs a reset: " + reason + ", " + cause);
    if (!isOfTheGuest(cause)) { // So perhaps ours.
      cause.printStackTrace();
    }
  }

  @Override
  public void changeConfig(Runnable change) {
    synchronized (lock) {
      if (closed) {
        return;
      }
      change.run();
      replaceConfig();
      signalConfigurationChange();
    }
  }

  /** Without the lock: a vCPU that resets the device holds it, and waits for the caller. */
  @Override
  public void showConfig() {
    replaceConfig();
  }

  private void signalConfigurationChange() {
    if (hasStatus(DeviceStatus.DRIVER_OK)) {
      interrupts.raise(InterruptRegisters.CONFIGURATION_CHANGE);
    }
  }

  // Inspection

  /** Takes no lock, so it answers even while a reset waits for a slow disk. */
  public TransportInspection inspect() {
    Map<String, Long> counters = new TreeMap<>(device.counters());
    illegalUses.putInto(counters, "illegal.");
    Map<RegisterClass, Long> exitsByClass = new EnumMap<>(RegisterClass.class);
    for (RegisterClass register : RegisterClass.values()) {
      exitsByClass.put(register, exits.get(register));
    }
    int statusNow = status();
    boolean live = DeviceStatus.has(statusNow, DeviceStatus.DRIVER_OK);
    return new TransportInspection(
        statusNow,
        driverFeatures,
        inspectQueues(),
        counters,
        exitsByClass,
        live ? exits.sum() - exitsBeforeDriverOk : 0);
  }

  private List<TransportInspection.Queue> inspectQueues() {
    List<TransportInspection.Queue> result = new ArrayList<>();
    for (QueueRegisters queue : queues) {
      QueueCounters counters = queue.connection.counters();
      result.add(
          new TransportInspection.Queue(
              result.size(),
              queue.size,
              queue.ready,
              counters.notifications(),
              counters.interrupts(),
              counters.interruptsSuppressed(),
              counters.requests()));
    }
    return result;
  }

  /**
   * From now on the requests of all queues are traced, into {@code ring}. Any thread may call, one
   * at a time.
   */
  public void trace(TraceRing ring, TraceFilter filter) {
    for (int i = 0; i < queues.size(); i++) {
      QueueRegisters queue = queues.get(i);
      queue.trace.set(
          new QueueRecorder(
              ring,
              filter,
              MonotonicClock.INSTANCE,
              device,
              memory,
              slot.index(),
              i,
              queue.maxSize));
    }
  }

  /** Nobody traces any more. */
  public void endTrace() {
    for (QueueRegisters queue : queues) {
      queue.trace.set(null);
    }
  }

  /** Counts it. Reads of nothing give 0. */
  private long illegal(IllegalUse use) {
    illegalUses.increment(use);
    return 0;
  }

  /**
   * Stops the device for good, when no vCPU is left that could use it. When it returns, guest
   * memory is no longer used. Without the lock: a thread of the device that is about to end may
   * have a change of configuration to tell of.
   */
  @Override
  public void close() {
    device.close();
    synchronized (lock) {
      closed = true;
    }
    interrupts.close();
  }
}
