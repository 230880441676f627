package dev.vireo.vmm.machine;

import dev.vireo.catalog.Arm64Platform;
import dev.vireo.catalog.MmioPlan;
import dev.vireo.linux.EventFd;
import dev.vireo.linux.LinuxException;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.vmm.v1.AnnouncementMode;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.vmm.boot.Arm64BootLoader;
import dev.vireo.vmm.boot.SpecException;
import dev.vireo.vmm.kvm.Arm64Vcpu;
import dev.vireo.vmm.kvm.Arm64Vm;
import dev.vireo.vmm.kvm.Kvm;
import dev.vireo.vmm.kvm.VgicV3;
import dev.vireo.vmm.machine.ExitCounters.Cause;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.virtio.input.PowerButton;
import dev.vireo.vmm.virtio.mmio.MmioTransport;
import dev.vireo.vmm.virtio.mmio.RegisterAccess;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;

/**
 * An arm64 machine: vCPUs with KVM's GICv3, timers and PSCI, a serial port, a clock, and a power
 * button. Its serial port is a 16550, as in the x86-64 machine, and not the PL011 of ARM's own
 * boards: one model for both, and every arm64 kernel has its driver too.
 */
public final class Arm64Machine extends Machine {
  private static final long MAX_RAM = Arm64Platform.RAM_END - Arm64Platform.RAM_BASE;

  /**
   * A guest maps registers as device memory, which is uncached unless the processor's stage 2 says
   * otherwise (FEAT_S2FWB, which KVM does not report). Then our stores would have to be cleaned
   * from the cache ({@code dc cvac}) for the guest to see them, and Java cannot do that.
   */
  private static final RegisterAccess AUTO_REGISTER_ACCESS = RegisterAccess.CLASSIC;

  private final Spec spec;
  private final PowerButton powerButton = new PowerButton("power-button");

  /**
   * Makes the machine; nothing runs yet.
   *
   * @throws SpecException if none can be made from the spec
   * @throws LinuxException if KVM refuses
   */
  public Arm64Machine(Kvm kvm, Spec spec, InstantSource time, Listener listener) {
    super(
        spec,
        MmioPlan.ARM64,
        new RegisterPages(spec.registerPage(), AUTO_REGISTER_ACCESS),
        listener);
    this.spec = spec;
    try {
      checkVcpus(
          spec.vcpus(), Math.min(kvm.checkExtension(Kvm.CAP_MAX_VCPUS), Arm64Platform.MAX_VCPUS));
      checkMemory();
      checkRamFits(spec.memoryBytes());
      checkAnnouncement(spec.announcement());

      Arm64Vm vm = own(kvm.createArm64Vm());
      GuestMemory memory =
          new GuestMemory(
              List.of(createRam(vm, 0, Arm64Platform.RAM_BASE, spec.memoryBytes())),
              createPluggable(vm, Arm64Platform.RAM_END));
      Arm64BootLoader.Entry entry = load(memory);
      List<Arm64Vcpu> vcpus = createVcpus(vm);
      entry.applyTo(vcpus.getFirst());
      // Interrupts can be bound only once the GIC has been set up, and that when the vCPUs are
      // there.
      createInterruptController(vm);
      connectDevices(vm, memory);
      MmioBus bus = createMmioBus(createOwnDevices(vm, memory, time));
      for (Arm64Vcpu vcpu : vcpus) {
        ExitCounters counters = new ExitCounters();
        addVcpu(vcpu, bus, new Arm64Exits(vcpu, counters), counters);
      }
    } catch (RuntimeException e) {
      abandon();
      throw e;
    }
  }

  /** From where on memory can be plugged into a machine with {@code memoryBytes} of RAM. */
  static long hotplugBaseFor(long memoryBytes) {
    return hotplugBase(Arm64Platform.RAM_BASE + memoryBytes);
  }

  private static void checkRamFits(long bytes) {
    if (bytes > MAX_RAM) {
      throw new SpecException(
          ErrorReason.FIELD_INVALID,
          "memory_mib",
          "memory of " + bytes + " bytes, the machine has room for " + MAX_RAM);
    }
  }

  /** On the command line, a kernel would take numbers of interrupts for Linux's, not the GIC's. */
  private static void checkAnnouncement(AnnouncementMode announcement) {
    if (announcement != AnnouncementMode.ANNOUNCE_FDT) {
      throw new SpecException(
          ErrorReason.ANNOUNCEMENT_UNSUPPORTED,
          "boot.announcement",
          "an arm64 machine announces its devices by FDT");
    }
  }

  private Arm64BootLoader.Entry load(GuestMemory memory) {
    return Arm64BootLoader.load(
        memory, spec.kernel(), spec.initramfs(), spec.commandLine(), deviceSlots(), spec.vcpus());
  }

  private List<Arm64Vcpu> createVcpus(Arm64Vm vm) {
    List<Arm64Vcpu> vcpus = new ArrayList<>();
    for (int id = 0; id < spec.vcpus(); id++) {
      vcpus.add(own(vm.createVcpu(id)));
    }
    return vcpus;
  }

  private static void createInterruptController(Arm64Vm vm) {
    try (VgicV3 gic = vm.createVgicV3()) {
      gic.initialize(
          Arm64Platform.INTERRUPTS,
          Arm64Platform.DISTRIBUTOR_BASE,
          Arm64Platform.REDISTRIBUTORS_BASE);
    }
  }

  private List<MmioBus.Window> createOwnDevices(
      Arm64Vm vm, GuestMemory memory, InstantSource time) {
    EventFd serialInterrupt = own(EventFd.nonBlocking());
    vm.bindInterrupt(serialInterrupt, Arm64Platform.SERIAL_GSI);
    Serial16550 serial = new Serial16550(spec.console(), serialInterrupt::signal);
    MmioTransport button = own(connect(vm, Arm64Platform.POWER_BUTTON, powerButton, memory));
    return List.of(
        new MmioBus.Window(
            Arm64Platform.SERIAL_BASE,
            Arm64Platform.SERIAL_BYTES,
            Cause.MMIO_SERIAL,
            new SerialRegisters(serial)),
        new MmioBus.Window(
            Arm64Platform.CLOCK_BASE, Arm64Platform.CLOCK_BYTES, Cause.MMIO_RTC, new Pl031(time)),
        new MmioBus.Window(
            Arm64Platform.POWER_BUTTON.base(),
            Arm64Platform.POWER_BUTTON.size(),
            Cause.MMIO_POWER_BUTTON,
            new TransportRegisters(button)));
  }

  @Override
  void powerButtonPressed() {
    powerButton.press();
  }

  @Override
  public String commandLine() {
    return spec.commandLine();
  }

  /** A byte at each address, from the first on. */
  private record SerialRegisters(Serial16550 serial) implements MmioBus.Registers {
    private static final int COUNT = 8;

    @Override
    public long read(int offset, int width) {
      return offset < COUNT ? serial.read(offset) : 0;
    }

    @Override
    public void write(int offset, int width, long value) {
      if (offset < COUNT) {
        serial.writeByte(offset, (int) value);
      }
    }
  }

  private record TransportRegisters(MmioTransport transport) implements MmioBus.Registers {
    @Override
    public long read(int offset, int width) {
      return transport.read(offset, width);
    }

    @Override
    public void write(int offset, int width, long value) {
      transport.write(offset, width, value);
    }
  }

  /** What a guest asks of PSCI that KVM leaves to user space: to power off, and to reset. */
  private final class Arm64Exits implements VcpuThread.ArchitectureExits {
    private final Arm64Vcpu vcpu;
    private final ExitCounters counters;

    Arm64Exits(Arm64Vcpu vcpu, ExitCounters counters) {
      this.vcpu = vcpu;
      this.counters = counters;
    }

    @Override
    public boolean serve(int exit) {
      if (exit != Arm64Vcpu.EXIT_SYSTEM_EVENT) {
        return false;
      }
      counters.count(Cause.PSCI);
      switch (vcpu.systemEvent()) {
        case Arm64Vcpu.SYSTEM_EVENT_SHUTDOWN ->
            end(EndCause.END_GUEST_POWER_OFF, "the guest powered off");
        case Arm64Vcpu.SYSTEM_EVENT_RESET ->
            end(EndCause.END_GUEST_RESET, "the guest asked for a reset");
        default -> {
          return false;
        }
      }
      return true;
    }
  }
}
