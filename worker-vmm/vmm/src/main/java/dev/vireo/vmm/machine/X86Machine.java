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
import dev.vireo.vmm.kvm.CpuidTable;
import dev.vireo.vmm.kvm.Kvm;
import dev.vireo.vmm.kvm.X86Vcpu;
import dev.vireo.vmm.kvm.X86Vm;
import dev.vireo.vmm.machine.ExitCounters.Cause;
import dev.vireo.vmm.memory.GuestMemory;
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

  /** Four pages below the BIOS that a PC would have at the end of 32 bits. */
  private static final long REAL_MODE_PAGES = 0xfffb_c000L;

  private static final int CAP_TSC_DEADLINE_TIMER = 72;

  /** Fast string operations on (Intel SDM volume 4, IA32_MISC_ENABLE). */
  private static final int MSR_MISC_ENABLE = 0x1a0;

  private static final int MISC_ENABLE_FAST_STRINGS = 1;

  /** Memory is write-back unless its page says otherwise (IA32_MTRR_DEF_TYPE). */
  private static final int MSR_MTRR_DEF_TYPE = 0x2ff;

  private static final int MTRR_ENABLED_WRITE_BACK = (1 << 11) | 6;

  private final Spec spec;
  private final String commandLine;
  private final PowerManagement power;

  /**
   * Makes the machine; nothing runs yet.
   *
   * @throws SpecException if none can be made from the spec
   * @throws dev.vireo.linux.LinuxException if KVM refuses
   */
  public X86Machine(Kvm kvm, Spec spec, InstantSource time, Listener listener) {
    super(spec, MmioPlan.X86_64, listener);
    this.spec = spec;
    try {
      checkVcpus(kvm, spec.vcpus(), X86Platform.MAX_VCPUS);
      checkMemory();
      List<DeviceSlot> slots = deviceSlots();
      this.commandLine = announcedCommandLine(spec, slots);

      X86Vm vm = own(kvm.createX86Vm());
      GuestMemory memory = createMemory(vm, spec.memoryBytes());
      CpuEntryState entry = load(memory, slots);
      vm.setRealModePages(REAL_MODE_PAGES);
      vm.createIrqchip();
      vm.createPit();
      this.power =
          new PowerManagement(
              high -> vm.setIrqLine(X86Platform.SCI_GSI, high),
              () -> end(EndCause.END_GUEST_POWER_OFF, "the guest powered off"));
      connectDevices(vm, memory);
      createVcpus(kvm, vm, entry, createPortBus(vm, time));
    } catch (RuntimeException e) {
      abandon();
      throw e;
    }
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
    return new GuestMemory(regions);
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

  private void createVcpus(Kvm kvm, X86Vm vm, CpuEntryState entry, PortBus ports) {
    CpuidTable supported = kvm.supportedCpuid();
    boolean tscDeadline = kvm.checkExtension(CAP_TSC_DEADLINE_TIMER) > 0;
    MmioBus bus = createMmioBus(List.of());
    for (int id = 0; id < spec.vcpus(); id++) {
      X86Vcpu vcpu = own(vm.createVcpu(id));
      vcpu.setCpuid(VcpuIdentity.of(supported, id, spec.vcpus(), tscDeadline));
      // A host that does not let these be set has them right already.
      boolean ignored = vcpu.setMsr(MSR_MISC_ENABLE, MISC_ENABLE_FAST_STRINGS);
      ignored |= vcpu.setMsr(MSR_MTRR_DEF_TYPE, MTRR_ENABLED_WRITE_BACK);
      vcpu.wireLocalInterrupts();
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
