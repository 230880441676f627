package dev.vireo.vmm.machine;

import dev.vireo.catalog.AcpiTables;
import dev.vireo.catalog.CommandLineAnnouncement;
import dev.vireo.catalog.DeviceSlot;
import dev.vireo.catalog.GuestTable;
import dev.vireo.catalog.MmioPlan;
import dev.vireo.catalog.MpTable;
import dev.vireo.catalog.X86Platform;
import dev.vireo.linux.EventFd;
import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.MemoryMapping;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.vmm.v1.AnnouncementMode;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.vmm.boot.BootLoader;
import dev.vireo.vmm.boot.CpuEntryState;
import dev.vireo.vmm.boot.SpecException;
import dev.vireo.vmm.kvm.CpuidTable;
import dev.vireo.vmm.kvm.Kvm;
import dev.vireo.vmm.kvm.Vcpu;
import dev.vireo.vmm.kvm.Vm;
import dev.vireo.vmm.machine.ExitCounters.Cause;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.mmio.MmioTransport;
import java.time.InstantSource;
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
 * An x86-64 machine: RAM, vCPUs with KVM's interrupt controllers and timer, a serial port, a clock,
 * ACPI's power management, and virtio devices on MMIO. Made, started once, ended once, closed.
 */
public final class X86Machine implements AutoCloseable {
  /** RAM ends here and goes on at 4 GiB: between them are devices and interrupt controllers. */
  static final long LOW_RAM_LIMIT = 3L << 30;

  private static final long HIGH_RAM_BASE = 4L << 30;
  private static final long PAGE = 4096;

  /** Four pages below the BIOS that a PC would have at the end of 32 bits. */
  private static final long REAL_MODE_PAGES = 0xfffb_c000L;

  private static final int QUEUE_NOTIFY = 0x50;

  private static final int CAP_TSC_DEADLINE_TIMER = 72;

  /** Fast string operations on (Intel SDM volume 4, IA32_MISC_ENABLE). */
  private static final int MSR_MISC_ENABLE = 0x1a0;

  private static final int MISC_ENABLE_FAST_STRINGS = 1;

  /** Memory is write-back unless its page says otherwise (IA32_MTRR_DEF_TYPE). */
  private static final int MSR_MTRR_DEF_TYPE = 0x2ff;

  private static final int MTRR_ENABLED_WRITE_BACK = (1 << 11) | 6;

  /**
   * What a machine is made of. Files stay the caller's; the devices become the machine's.
   *
   * @param commandLine final but for what announces the devices
   * @param devices in the order of their slots
   */
  public record Spec(
      int vcpus,
      long memoryBytes,
      Fd kernel,
      @Nullable Fd initramfs,
      String commandLine,
      AnnouncementMode announcement,
      List<VirtioDevice> devices,
      ConsoleFile console) {}

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
  private final String commandLine;
  private final PowerManagement power;
  private final List<MmioTransport> transports = new ArrayList<>();
  private final VcpuGate gate;
  private final List<VcpuThread> vcpuThreads = new ArrayList<>();
  private final AtomicInteger vcpusInside;
  private final Object closing = new Object();
  private boolean closed;
  private final AtomicReference<Ending> ending = new AtomicReference<>();
  private volatile long firstRunNanos;
  private volatile long firstExitNanos;

  /**
   * Makes the machine; nothing runs yet.
   *
   * @throws SpecException if none can be made from the spec
   * @throws LinuxException if KVM refuses
   */
  public X86Machine(Kvm kvm, Spec spec, InstantSource time, Listener listener) {
    this.spec = spec;
    this.listener = listener;
    this.gate = new VcpuGate(spec.vcpus(), this::kickAll);
    this.vcpusInside = new AtomicInteger(spec.vcpus());
    try {
      checkVcpus(kvm, spec.vcpus());
      List<DeviceSlot> slots = slots(spec.devices().size());
      this.commandLine = announcedCommandLine(spec, slots);

      Vm vm = own(kvm.createVm());
      GuestMemory memory = createMemory(vm, spec.memoryBytes());
      CpuEntryState entry = load(memory, slots);
      vm.setRealModePages(REAL_MODE_PAGES);
      vm.createIrqchip();
      vm.createPit();
      this.power =
          new PowerManagement(
              high -> vm.setIrqLine(X86Platform.SCI_GSI, high),
              () -> end(EndCause.END_GUEST_POWER_OFF, "the guest powered off"));
      for (int i = 0; i < slots.size(); i++) {
        transports.add(own(connect(vm, slots.get(i), spec.devices().get(i), memory)));
      }
      Bus bus = createBus(vm, time);
      createVcpus(kvm, vm, entry, bus);
    } catch (RuntimeException e) {
      for (VirtioDevice device : spec.devices().subList(transports.size(), spec.devices().size())) {
        device.close();
      }
      close();
      throw e;
    }
  }

  private <T extends AutoCloseable> T own(T resource) {
    owned.push(resource);
    return resource;
  }

  private static void checkVcpus(Kvm kvm, int vcpus) {
    int limit = Math.min(kvm.checkExtension(Kvm.CAP_MAX_VCPUS), X86Platform.MAX_VCPUS);
    if (vcpus < 1 || vcpus > limit) {
      throw new SpecException(
          ErrorReason.FIELD_INVALID,
          "vcpus",
          "vcpus is " + vcpus + ", this host's KVM takes 1 to " + limit);
    }
  }

  private static List<DeviceSlot> slots(int devices) {
    int capacity = MmioPlan.X86_64.capacity();
    if (devices > capacity) {
      throw new SpecException(
          ErrorReason.FIELD_INVALID,
          "disks",
          devices + " devices, the machine has room for " + capacity);
    }
    return MmioPlan.X86_64.first(devices);
  }

  private static String announcedCommandLine(Spec spec, List<DeviceSlot> slots) {
    return switch (spec.announcement()) {
      case ANNOUNCE_CMDLINE -> join(spec.commandLine(), CommandLineAnnouncement.of(slots));
      case ANNOUNCE_ACPI -> spec.commandLine();
      case ANNOUNCE_FDT, ANNOUNCEMENT_MODE_UNSPECIFIED, UNRECOGNIZED ->
          throw new SpecException(
              ErrorReason.ANNOUNCEMENT_UNSUPPORTED,
              "boot.announcement",
              "an x86_64 machine announces its devices by CMDLINE or ACPI");
    };
  }

  private static String join(String left, String right) {
    return left.isEmpty() || right.isEmpty() ? left + right : left + " " + right;
  }

  private GuestMemory createMemory(Vm vm, long bytes) {
    if (bytes < PAGE || bytes % PAGE != 0) {
      throw new SpecException(
          ErrorReason.FIELD_INVALID, "memory_mib", "memory of " + bytes + " bytes");
    }
    List<GuestMemory.Region> regions = new ArrayList<>(2);
    long low = Math.min(bytes, LOW_RAM_LIMIT);
    regions.add(createRegion(vm, 0, 0, low));
    if (bytes > low) {
      regions.add(createRegion(vm, 1, HIGH_RAM_BASE, bytes - low));
    }
    return new GuestMemory(regions);
  }

  private GuestMemory.Region createRegion(Vm vm, int slot, long base, long bytes) {
    MemoryMapping mapping;
    try {
      mapping = own(MemoryMapping.anonymous(bytes));
    } catch (LinuxException e) {
      throw new SpecException(
          ErrorReason.NODE_RESOURCES_EXHAUSTED,
          "memory_mib",
          "the node cannot give " + bytes + " bytes of memory: " + e.getMessage());
    }
    mapping.advise(MemoryMapping.MADV_DONTDUMP);
    vm.setMemoryRegion(slot, base, mapping.segment());
    return new GuestMemory.Region(base, mapping.segment());
  }

  /**
   * ACPI's tables are there in any case, for vCPUs and power; they name the devices only where
   * nothing else does, or a kernel that knows both ways would find each device twice.
   */
  private CpuEntryState load(GuestMemory memory, List<DeviceSlot> slots) {
    boolean byAcpi = spec.announcement() == AnnouncementMode.ANNOUNCE_ACPI;
    AcpiTables acpi = AcpiTables.of(byAcpi ? slots : List.of(), spec.vcpus());
    List<GuestTable> tables = new ArrayList<>(acpi.tables());
    tables.add(MpTable.of(spec.vcpus()));
    return BootLoader.load(
        memory, spec.kernel(), spec.initramfs(), commandLine, tables, acpi.rsdpAddress());
  }

  private MmioTransport connect(Vm vm, DeviceSlot slot, VirtioDevice device, GuestMemory memory) {
    EventFd interrupt = own(EventFd.nonBlocking());
    vm.bindInterrupt(interrupt, slot.gsi());
    List<EventFd> notifiers = new ArrayList<>();
    for (int queue = 0; queue < device.queueSizes().size(); queue++) {
      EventFd notifier = own(EventFd.blocking());
      vm.bindNotification(notifier, slot.base() + QUEUE_NOTIFY, queue);
      notifiers.add(notifier);
    }
    return new MmioTransport(slot, device, memory, interrupt, notifiers);
  }

  private Bus createBus(Vm vm, InstantSource time) {
    EventFd serialInterrupt = own(EventFd.nonBlocking());
    vm.bindInterrupt(serialInterrupt, X86Platform.SERIAL_GSI);
    DeviceSlot first = MmioPlan.X86_64.slot(0);
    return new Bus(
        new Serial16550(spec.console(), serialInterrupt::signal),
        new CmosClock(time),
        power,
        () -> end(EndCause.END_GUEST_RESET, "the guest asked for a reset"),
        transports,
        first.base(),
        first.size());
  }

  private void createVcpus(Kvm kvm, Vm vm, CpuEntryState entry, Bus bus) {
    CpuidTable supported = kvm.supportedCpuid();
    boolean tscDeadline = kvm.checkExtension(CAP_TSC_DEADLINE_TIMER) > 0;
    VcpuListener vcpuListener = new VcpuListener();
    for (int id = 0; id < spec.vcpus(); id++) {
      Vcpu vcpu = own(vm.createVcpu(id));
      vcpu.setCpuid(VcpuIdentity.of(supported, id, spec.vcpus(), tscDeadline));
      // A host that does not let these be set has them right already.
      boolean ignored = vcpu.setMsr(MSR_MISC_ENABLE, MISC_ENABLE_FAST_STRINGS);
      ignored |= vcpu.setMsr(MSR_MTRR_DEF_TYPE, MTRR_ENABLED_WRITE_BACK);
      vcpu.wireLocalInterrupts();
      if (id == 0) {
        entry.applyTo(vcpu);
      }
      ExitCounters counters = new ExitCounters();
      vcpuThreads.add(new VcpuThread(vcpu, gate, bus, counters, vcpuListener));
    }
  }

  /** Starts the vCPUs. Once. */
  public void start() {
    for (int id = 0; id < vcpuThreads.size(); id++) {
      Thread.ofPlatform().name("vcpu" + id).start(vcpuThreads.get(id));
    }
  }

  /** Takes every vCPU out of the guest; returns when they are. */
  public void pause() throws InterruptedException {
    gate.pause();
  }

  /** Lets the vCPUs go on. */
  public void resume() {
    gate.resume();
  }

  /**
   * Asks the guest to power off, as a press of a PC's power button does. Harmless after {@link
   * #close}.
   */
  public void pressPowerButton() {
    synchronized (closing) {
      if (!closed) {
        power.pressPowerButton();
      }
    }
  }

  /** Ends it from outside. Does not wait; {@link Listener#ended} tells when it is over. */
  public void stop(String message) {
    end(EndCause.END_STOPPED_BY_REQUEST, message);
  }

  private void end(EndCause cause, String message) {
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
  public String commandLine() {
    return commandLine;
  }

  /** The devices on their transports, by slot. */
  public List<MmioTransport> transports() {
    return transports;
  }

  /** {@code System.nanoTime} just before the guest's first instruction; 0 if there was none yet. */
  public long firstRunNanos() {
    return firstRunNanos;
  }

  /** {@code System.nanoTime} when the guest first came back to user space; 0 if it did not yet. */
  public long firstExitNanos() {
    return firstExitNanos;
  }

  /**
   * Exits to user space by cause, of all vCPUs together: {@code pio.serial}; for a device's
   * registers {@code mmio.<device id>.<register class>}.
   */
  public Map<String, Long> exits() {
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
  public List<Long> exitsByVcpu() {
    List<Long> totals = new ArrayList<>();
    for (VcpuThread thread : vcpuThreads) {
      totals.add(thread.counters().total());
    }
    return totals;
  }

  /** Frees everything. Not before it has ended, if it was started. */
  @Override
  public void close() {
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
    public void tripleFault() {
      end(EndCause.END_GUEST_RESET, "triple fault");
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
