package dev.vireo.vmm.machine;

import dev.vireo.catalog.DeviceSlot;
import dev.vireo.catalog.MmioPlan;
import dev.vireo.linux.EventFd;
import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.MemoryMapping;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.vmm.v1.AnnouncementMode;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.proto.vmm.v1.RegisterPageMode;
import dev.vireo.vmm.boot.SpecException;
import dev.vireo.vmm.kvm.Vcpu;
import dev.vireo.vmm.kvm.Vm;
import dev.vireo.vmm.machine.ExitCounters.Cause;
import dev.vireo.vmm.memory.Backing;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.HotplugLayout;
import dev.vireo.vmm.memory.HotplugRegion;
import dev.vireo.vmm.trace.TraceFilter;
import dev.vireo.vmm.trace.TracePoint;
import dev.vireo.vmm.trace.TraceRing;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.mmio.InterruptRegisters;
import dev.vireo.vmm.virtio.mmio.MmioTransport;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * What machines of all architectures have in common: RAM, virtio devices on MMIO, the threads of
 * their vCPUs, and a life: made, started once, ended once, closed.
 *
 * <p>A subclass's constructor makes the VM and whatever hardware its architecture has, in the order
 * that KVM wants there, with the help of the methods here.
 */
public abstract sealed class Machine implements AutoCloseable permits Arm64Machine, X86Machine {
  private static final int QUEUE_NOTIFY = 0x50;

  /**
   * What the base of pluggable memory is a multiple of: of what any Linux adds at once, and more.
   */
  private static final long HOTPLUG_ALIGNMENT = 1L << 30;

  /**
   * What a machine is made of. Files stay the caller's; the devices become the machine's.
   *
   * @param commandLine final but for what announces the devices
   * @param memoryFile what the guest's memory is; null for memory of this process
   * @param hotplug where memory can be plugged; null for nowhere. {@link
   *     MachineFactory#hotplugBase} says from where on
   * @param registerPage how the guest reads the devices' registers
   * @param devices in the order of their slots
   */
  public record Spec(
      int vcpus,
      long memoryBytes,
      @Nullable MemoryFile memoryFile,
      @Nullable HotplugLayout hotplug,
      Fd kernel,
      @Nullable Fd initramfs,
      String commandLine,
      AnnouncementMode announcement,
      RegisterPageMode registerPage,
      List<VirtioDevice> devices,
      ConsoleFile console) {}

  /**
   * A file that is a guest's memory.
   *
   * @param pageBytes of its pages
   */
  public record MemoryFile(Fd fd, long pageBytes) {
    Backing backing() {
      return pageBytes > GuestMemory.PAGE_BYTES ? Backing.HUGE_PAGES : Backing.SHARED;
    }
  }

  /** What a machine tells about itself, on its vCPUs' threads. */
  public interface Listener {
    /** The guest has run and come back to user space for the first time. */
    void guestRan();

    /** No vCPU runs any more. Called once. */
    void ended(EndCause cause, String message);
  }

  /** Why it ended. */
  private record Ending(EndCause cause, String message) {}

  private final Deque<AutoCloseable> owned = new ArrayDeque<>();
  private final Spec spec;
  private final Listener listener;
  private final MmioPlan plan;
  private final RegisterPages registerPages;
  private final List<MmioTransport> transports = new ArrayList<>();
  private final VcpuGate gate;
  private final TracePoint<ExitRecorder> exitTrace = new TracePoint<>();
  private final List<VcpuThread> vcpuThreads = new ArrayList<>();
  private final VcpuListener vcpuListener = new VcpuListener();
  private final AtomicInteger vcpusInside;
  private long memoryFileOffset;
  private final Object closing = new Object();
  private boolean closed;
  private final AtomicReference<Ending> ending = new AtomicReference<>();
  private volatile long firstRunNanos;
  private volatile long firstExitNanos;

  /**
   * @param plan where the devices go
   * @param registerPages become the machine's
   */
  Machine(Spec spec, MmioPlan plan, RegisterPages registerPages, Listener listener) {
    this.spec = spec;
    this.plan = plan;
    this.registerPages = own(registerPages);
    this.listener = listener;
    this.gate = new VcpuGate(spec.vcpus(), this::kickAll);
    this.vcpusInside = new AtomicInteger(spec.vcpus());
  }

  /** Makes {@code resource} a part of the machine: closed with it, the last one first. */
  final <T extends AutoCloseable> T own(T resource) {
    owned.push(resource);
    return resource;
  }

  /** The end of a constructor that failed: frees what there is, and the spec's devices. */
  final void abandon() {
    for (VirtioDevice device : spec.devices().subList(transports.size(), spec.devices().size())) {
      device.close();
    }
    close();
  }

  /**
   * Checks the spec's number of vCPUs.
   *
   * @param most that KVM and the machine have room for
   */
  static void checkVcpus(int vcpus, int most) {
    if (vcpus < 1 || vcpus > most) {
      throw new SpecException(
          ErrorReason.FIELD_INVALID,
          "vcpus",
          "vcpus is " + vcpus + ", this host's KVM takes 1 to " + most);
    }
  }

  /** The slots of the spec's devices. */
  final List<DeviceSlot> deviceSlots() {
    int devices = spec.devices().size();
    int capacity = plan.capacity();
    if (devices > capacity) {
      throw new SpecException(
          ErrorReason.FIELD_INVALID,
          "disks",
          devices + " devices, the machine has room for " + capacity);
    }
    return plan.first(devices);
  }

  /**
   * Where memory can be plugged, above RAM that ends at {@code ramEnd}: never right behind it,
   * since a driver takes neighbours for one buffer, which would be in two regions here.
   */
  static long hotplugBase(long ramEnd) {
    return (ramEnd & -HOTPLUG_ALIGNMENT) + HOTPLUG_ALIGNMENT;
  }

  /** What the guest's memory is to the host. */
  public final Backing memoryBacking() {
    MemoryFile file = spec.memoryFile();
    return file == null ? Backing.ANONYMOUS : file.backing();
  }

  /** Checks that the spec's memory is whole pages, and at least one. */
  final void checkMemory() {
    long bytes = spec.memoryBytes();
    MemoryFile file = spec.memoryFile();
    long page = file == null ? GuestMemory.PAGE_BYTES : file.pageBytes();
    if (bytes < page || bytes % page != 0) {
      throw new SpecException(
          ErrorReason.FIELD_INVALID, "memory_mib", "memory of " + bytes + " bytes");
    }
  }

  /**
   * RAM from {@code base} on, in KVM's memory slot {@code slot}. Of a file each call takes what
   * comes next.
   */
  final GuestMemory.Region createRam(Vm vm, int slot, long base, long bytes) {
    MemoryFile file = spec.memoryFile();
    MemoryMapping mapping;
    try {
      mapping =
          own(
              file == null
                  ? MemoryMapping.anonymous(bytes)
                  : MemoryMapping.shared(file.fd(), memoryFileOffset, bytes));
      memoryFileOffset += bytes;
    } catch (LinuxException e) {
      throw new SpecException(
          ErrorReason.NODE_RESOURCES_EXHAUSTED,
          "memory_mib",
          "the node cannot give " + bytes + " bytes of memory: " + e.getMessage());
    }
    mapping.advise(MemoryMapping.MADV_DONTDUMP);
    vm.setMemoryRegion(slot, base, mapping.segment());
    return new GuestMemory.Region(base, mapping.segment(), memoryBacking());
  }

  /**
   * The spec's memory that can be plugged, none of which is; after all RAM, which comes before it
   * in a file.
   *
   * @param end of the machine's guest physical addresses
   */
  final @Nullable HotplugRegion createPluggable(Vm vm, long end) {
    HotplugLayout layout = spec.hotplug();
    if (layout == null) {
      return null;
    }
    if (layout.end() > end) {
      throw new SpecException(
          ErrorReason.FIELD_INVALID,
          "memory_hotplug.maximum_mib",
          "memory up to 0x%x, the machine has room up to 0x%x".formatted(layout.end(), end));
    }
    try {
      return own(new PluggableMemory(layout, new VmSlots(vm), spec.memoryFile(), memoryFileOffset))
          .region();
    } catch (LinuxException e) {
      throw new SpecException(
          ErrorReason.NODE_RESOURCES_EXHAUSTED,
          "memory_hotplug.maximum_mib",
          "the node cannot keep addresses for " + layout.bytes() + " bytes: " + e.getMessage());
    }
  }

  private record VmSlots(Vm vm) implements PluggableMemory.Slots {
    @Override
    public void set(int slot, long guestAddress, MemorySegment memory) {
      if (memory.byteSize() == 0) {
        vm.removeMemoryRegion(slot, guestAddress);
      } else {
        vm.setMemoryRegion(slot, guestAddress, memory);
      }
    }
  }

  /** Puts the spec's devices into their slots. KVM's interrupt controller must be there. */
  final void connectDevices(Vm vm, GuestMemory memory) {
    List<DeviceSlot> slots = deviceSlots();
    for (int i = 0; i < slots.size(); i++) {
      transports.add(own(connect(vm, slots.get(i), spec.devices().get(i), memory)));
    }
    own(registerPages.sweep());
  }

  /** Puts a device into a slot: its interrupt by irqfd, its notifications by ioeventfd. */
  final MmioTransport connect(Vm vm, DeviceSlot slot, VirtioDevice device, GuestMemory memory) {
    EventFd interrupt = own(EventFd.nonBlocking());
    vm.bindInterrupt(interrupt, slot.gsi());
    List<EventFd> notifiers = new ArrayList<>();
    for (int queue = 0; queue < device.queueSizes().size(); queue++) {
      EventFd notifier = own(EventFd.blocking());
      vm.bindNotification(notifier, slot.base() + QUEUE_NOTIFY, queue);
      notifiers.add(notifier);
    }
    InterruptRegisters interrupts = registerPages.connect(vm, slot, interrupt);
    return new MmioTransport(slot, device, memory, interrupts, notifiers);
  }

  /**
   * The bus that leads to the devices.
   *
   * @param windows of the machine's own devices
   */
  final MmioBus createMmioBus(List<MmioBus.Window> windows) {
    DeviceSlot first = plan.slot(0);
    return new MmioBus(transports, first.base(), first.size(), windows);
  }

  /** Gives a vCPU its thread; {@link #start} starts it. */
  final void addVcpu(
      Vcpu vcpu, MmioBus bus, VcpuThread.ArchitectureExits others, ExitCounters counters) {
    vcpuThreads.add(new VcpuThread(vcpu, gate, bus, others, counters, exitTrace, vcpuListener));
  }

  /** Starts the vCPUs. Once. */
  public final void start() {
    registerPages.start();
    for (int id = 0; id < vcpuThreads.size(); id++) {
      Thread.ofPlatform().name("vcpu" + id).start(vcpuThreads.get(id));
    }
  }

  /** Takes every vCPU out of the guest; returns when they are. */
  public final void pause() throws InterruptedException {
    gate.pause();
  }

  /** Lets the vCPUs go on. */
  public final void resume() {
    gate.resume();
  }

  /** Asks the guest to power off. Harmless after {@link #close}. */
  public final void pressPowerButton() {
    synchronized (closing) {
      if (!closed) {
        powerButtonPressed();
      }
    }
  }

  /** Tells the guest that its power button was pressed. Not called after {@link #close}. */
  abstract void powerButtonPressed();

  /** Ends it from outside. Does not wait; {@link Listener#ended} tells when it is over. */
  public final void stop(String message) {
    end(EndCause.END_STOPPED_BY_REQUEST, message);
  }

  /** Ends it; only the first reason counts. */
  final void end(EndCause cause, String message) {
    if (ending.compareAndSet(null, new Ending(cause, message))) {
      gate.end();
    }
  }

  private void kickAll() {
    for (VcpuThread thread : vcpuThreads) {
      thread.kick();
    }
  }

  /** The command line that the guest was given. */
  public abstract String commandLine();

  /** The devices on their transports, by slot. */
  public final List<MmioTransport> transports() {
    return transports;
  }

  /** {@code System.nanoTime} just before the guest's first instruction; 0 if there was none yet. */
  public final long firstRunNanos() {
    return firstRunNanos;
  }

  /** {@code System.nanoTime} when the guest first came back to user space; 0 if it did not yet. */
  public final long firstExitNanos() {
    return firstExitNanos;
  }

  /**
   * Exits to user space by cause, of all vCPUs together: {@code pio.serial}; for a device's
   * registers {@code mmio.<device id>.<register class>}.
   */
  public final Map<String, Long> exits() {
    Map<Cause, Long> sums = new EnumMap<>(Cause.class);
    for (VcpuThread thread : vcpuThreads) {
      thread.counters().addTo(sums);
    }
    sums.remove(Cause.MMIO_DEVICE);
    Map<String, Long> result = new TreeMap<>();
    sums.forEach((cause, count) -> result.put(cause.label(), count));
    for (MmioTransport transport : transports) {
      String prefix = "mmio." + transport.device().id() + ".";
      transport
          .inspect()
          .exits()
          .forEach((register, count) -> {
            if (count > 0) {
              result.put(prefix + register.label(), count);
            }
          });
    }
    return result;
  }

  /** Exits to user space of each vCPU. */
  public final List<Long> exitsByVcpu() {
    List<Long> totals = new ArrayList<>();
    for (VcpuThread thread : vcpuThreads) {
      totals.add(thread.counters().total());
    }
    return totals;
  }

  /**
   * From now on what the filter wants is traced, into {@code ring}: {@link TracedExit} and {@link
   * dev.vireo.vmm.virtio.queue.TracedRequest}. One at a time.
   */
  public final void trace(TraceRing ring, TraceFilter filter) {
    DeviceSlot only = null;
    for (MmioTransport transport : transports) {
      if (filter.wantsDevice(transport.device().id())) {
        only = filter.device().isEmpty() ? null : transport.slot();
        if (filter.requests()) {
          transport.trace(ring, filter);
        }
      }
    }
    if (filter.exits()) {
      exitTrace.set(new ExitRecorder(ring, filter, only));
    }
  }

  /** Nobody traces any more. */
  public final void endTrace() {
    exitTrace.set(null);
    for (MmioTransport transport : transports) {
      transport.endTrace();
    }
  }

  /** Frees everything. Not before it has ended, if it was started. */
  @Override
  public final void close() {
    synchronized (closing) {
      closed = true;
      while (!owned.isEmpty()) {
        try {
          owned.pop().close();
        } catch (Exception e) {
          throw new IllegalStateException("cannot close a part of the machine", e);
        }
      }
    }
  }

  private final class VcpuListener implements VcpuThread.Listener {
    @Override
    public void beforeFirstRun(int vcpu) {
      if (vcpu == 0) {
        firstRunNanos = System.nanoTime();
      }
    }

    @Override
    public void afterFirstRun(int vcpu) {
      if (vcpu == 0) {
        firstExitNanos = System.nanoTime();
        listener.guestRan();
      }
    }

    @Override
    public void failed(String message) {
      end(EndCause.END_VCPU_FAILED, message);
    }

    @Override
    public void left() {
      if (vcpusInside.decrementAndGet() == 0) {
        Ending why = ending.get();
        if (why == null) {
          throw new IllegalStateException("vCPUs left and nobody said why");
        }
        listener.ended(why.cause(), why.message());
      }
    }
  }
}
