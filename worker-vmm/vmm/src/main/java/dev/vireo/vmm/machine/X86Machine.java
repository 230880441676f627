package dev.vireo.vmm.machine;

import dev.vireo.catalog.AcpiTables;
import dev.vireo.catalog.CommandLineAnnouncement;
import dev.vireo.catalog.DeviceSlot;
import dev.vireo.catalog.GuestTable;
import dev.vireo.catalog.MmioPlan;
import dev.vireo.catalog.MpTable;
import dev.vireo.catalog.X86Platform;
import dev.vireo.linux.EventFd;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.vmm.v1.AnnouncementMode;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.vmm.boot.CpuEntryState;
import dev.vireo.vmm.boot.SpecException;
import dev.vireo.vmm.boot.X86BootLoader;
import dev.vireo.vmm.kvm.X86Vcpu;
import dev.vireo.vmm.kvm.X86Vm;
import dev.vireo.vmm.machine.ExitCounters.Cause;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.virtio.mmio.RegisterAccess;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;

/**
 * An x86-64 machine: vCPUs with KVM's interrupt controllers and timer, a serial port, a clock, and
 * ACPI's power management.
 */
public final class X86Machine extends Machine {
  /** RAM ends here and goes on at 4 GiB: between them are devices and interrupt controllers. */
  static final long LOW_RAM_LIMIT = 3L << 30;

  private static final long HIGH_RAM_BASE = 4L << 30;

  private final Spec spec;
  private final String commandLine;
  private final PowerManagement power;

  /**
   * Makes the machine; nothing runs yet.
   *
   * @param chassis the machine's from now on, also if it fails
   * @throws SpecException if none can be made from the spec
   * @throws dev.vireo.linux.LinuxException if KVM refuses
   */
  public X86Machine(X86Chassis chassis, Spec spec, InstantSource time, Listener listener) {
    this(chassis, spec, registerPages(chassis, spec), time, listener);
  }

  /** As above, with the devices' registers given to the guest by {@code registerPages}. */
  X86Machine(
      X86Chassis chassis,
      Spec spec,
      RegisterPages registerPages,
      InstantSource time,
      Listener listener) {
    super(spec, MmioPlan.X86_64, registerPages, listener);
    this.spec = spec;
    try {
      X86Vm vm = own(chassis).vm();
      checkVcpus(spec.vcpus(), chassis.mostVcpus());
      checkMemory();
      List<DeviceSlot> slots = deviceSlots();
      this.commandLine = announcedCommandLine(spec, slots);

      GuestMemory memory = createMemory(vm, spec.memoryBytes());
      CpuEntryState entry = load(memory, slots);
      this.power =
          new PowerManagement(
              high -> vm.setIrqLine(X86Platform.SCI_GSI, high),
              () -> end(EndCause.END_GUEST_POWER_OFF, "the guest powered off"));
      connectDevices(vm, memory);
      createVcpus(chassis, entry, createPortBus(vm, time));
    } catch (RuntimeException e) {
      abandon();
      throw e;
    }
  }

  /** Lines are edge-triggered here, so nothing speaks against the best that KVM can do. */
  private static RegisterPages registerPages(X86Chassis chassis, Spec spec) {
    return new RegisterPages(
        spec.registerPage(),
        chassis.hasReadOnlyMemory() ? RegisterAccess.LAZY : RegisterAccess.CLASSIC);
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

  private GuestMemory createMemory(X86Vm vm, long bytes) {
    List<GuestMemory.Region> regions = new ArrayList<>(2);
    long low = Math.min(bytes, LOW_RAM_LIMIT);
    regions.add(createRam(vm, 0, 0, low));
    if (bytes > low) {
      regions.add(createRam(vm, 1, HIGH_RAM_BASE, bytes - low));
    }
    return new GuestMemory(regions, createPluggable(vm, Long.MAX_VALUE));
  }

  /** From where on memory can be plugged into a machine with {@code memoryBytes} of RAM. */
  static long hotplugBaseFor(long memoryBytes) {
    return memoryBytes <= LOW_RAM_LIMIT
        ? HIGH_RAM_BASE
        : hotplugBase(HIGH_RAM_BASE + memoryBytes - LOW_RAM_LIMIT);
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
    return X86BootLoader.load(
        memory, spec.kernel(), spec.initramfs(), commandLine, tables, acpi.rsdpAddress());
  }

  private PortBus createPortBus(X86Vm vm, InstantSource time) {
    EventFd serialInterrupt = own(EventFd.nonBlocking());
    vm.bindInterrupt(serialInterrupt, X86Platform.SERIAL_GSI);
    return new PortBus(
        new Serial16550(spec.console(), serialInterrupt::signal),
        new CmosClock(time),
        power,
        () -> end(EndCause.END_GUEST_RESET, "the guest asked for a reset"));
  }

  private void createVcpus(X86Chassis chassis, CpuEntryState entry, PortBus ports) {
    MmioBus bus = createMmioBus(List.of());
    for (int id = 0; id < spec.vcpus(); id++) {
      X86Vcpu vcpu =
          id == 0 ? chassis.firstVcpu(spec.vcpus()) : own(chassis.createVcpu(id, spec.vcpus()));
      if (id == 0) {
        entry.applyTo(vcpu);
      }
      ExitCounters counters = new ExitCounters();
      addVcpu(vcpu, bus, new X86Exits(vcpu, ports, counters), counters);
    }
  }

  @Override
  void powerButtonPressed() {
    power.pressPowerButton();
  }

  @Override
  public String commandLine() {
    return commandLine;
  }

  private final class X86Exits implements VcpuThread.ArchitectureExits {
    private final X86Vcpu vcpu;
    private final PortBus ports;
    private final ExitCounters counters;

    X86Exits(X86Vcpu vcpu, PortBus ports, ExitCounters counters) {
      this.vcpu = vcpu;
      this.ports = ports;
      this.counters = counters;
    }

    @Override
    public boolean serve(int exit) {
      switch (exit) {
        case X86Vcpu.EXIT_IO -> ports.serve(vcpu, counters);
        case X86Vcpu.EXIT_HLT -> counters.count(Cause.HLT);
        case X86Vcpu.EXIT_SHUTDOWN -> {
          counters.count(Cause.SHUTDOWN);
          end(EndCause.END_GUEST_RESET, "triple fault");
        }
        default -> {
          return false;
        }
      }
      return true;
    }
  }
}
