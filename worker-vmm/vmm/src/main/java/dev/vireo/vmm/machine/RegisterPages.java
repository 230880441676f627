package dev.vireo.vmm.machine;

import dev.vireo.catalog.DeviceSlot;
import dev.vireo.linux.EventFd;
import dev.vireo.linux.LinuxException;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.vmm.v1.RegisterPageMode;
import dev.vireo.vmm.boot.SpecException;
import dev.vireo.vmm.kvm.Vm;
import dev.vireo.vmm.virtio.mmio.AcknowledgementSweep;
import dev.vireo.vmm.virtio.mmio.InterruptRegisters;
import dev.vireo.vmm.virtio.mmio.LazyInterruptRegisters;
import dev.vireo.vmm.virtio.mmio.Register;
import dev.vireo.vmm.virtio.mmio.RegisterAccess;
import dev.vireo.vmm.virtio.mmio.RegisterPage;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Gives the guest its devices' registers as memory, if the spec wants that and KVM does it: reads
 * are served from a read-only slot of memory; writes still exit, or signal the eventfd that is
 * bound to their address.
 */
class RegisterPages implements AutoCloseable {
  /** KVM's memory slots from here on are devices'; those below are RAM. */
  private static final int FIRST_MEMORY_SLOT = 64;

  private final RegisterPageMode wanted;
  private final RegisterAccess auto;
  private final List<EventFd> eventFds = new ArrayList<>();
  private final AcknowledgementSweep sweep = new AcknowledgementSweep();
  private int memorySlots;
  private boolean lazy;

  /**
   * @param wanted by the spec
   * @param auto what to do if the spec leaves it open and KVM does not refuse
   */
  RegisterPages(RegisterPageMode wanted, RegisterAccess auto) {
    this.wanted = wanted;
    this.auto = auto;
  }

  /**
   * The interrupt registers, and the page, of the device in {@code slot}.
   *
   * @throws SpecException if KVM cannot do what the spec wants
   */
  InterruptRegisters connect(Vm vm, DeviceSlot slot, EventFd interrupt) {
    RegisterPage page = new RegisterPage();
    try {
      return switch (offer(vm, slot, page)) {
        case LAZY -> connectLazily(vm, slot, page, interrupt);
        case STRICT -> new InterruptRegisters(RegisterAccess.STRICT, page, interrupt);
        case CLASSIC -> new InterruptRegisters(RegisterAccess.CLASSIC, page, interrupt);
      };
    } catch (RuntimeException e) {
      page.close();
      throw e;
    }
  }

  private RegisterAccess offer(Vm vm, DeviceSlot slot, RegisterPage page) {
    return switch (wanted) {
      case REGISTER_PAGE_MODE_UNSPECIFIED, REGISTER_PAGE_AUTO ->
          auto != RegisterAccess.CLASSIC && map(vm, slot, page) == null
              ? auto
              : RegisterAccess.CLASSIC;
      case REGISTER_PAGE_LAZY -> require(RegisterAccess.LAZY, map(vm, slot, page));
      case REGISTER_PAGE_STRICT -> require(RegisterAccess.STRICT, map(vm, slot, page));
      case REGISTER_PAGE_CLASSIC -> RegisterAccess.CLASSIC;
      case UNRECOGNIZED -> throw unsupported("this VMM does not know the mode");
    };
  }

  /** Returns why KVM does not do it, or null. */
  private @Nullable LinuxException map(Vm vm, DeviceSlot slot, RegisterPage page) {
    try {
      vm.setReadOnlyMemoryRegion(FIRST_MEMORY_SLOT + memorySlots, slot.base(), page.shown());
      memorySlots++;
      return null;
    } catch (LinuxException e) {
      return e;
    }
  }

  private static RegisterAccess require(RegisterAccess access, @Nullable LinuxException refusal) {
    if (refusal != null) {
      throw unsupported("this host's KVM gives no read-only memory: " + refusal.getMessage());
    }
    return access;
  }

  /**
   * KVM takes the write of 1, used buffers alone, which is nearly all that drivers write; and of 0,
   * which they write when they find that somebody was before them, and which nobody needs to hear
   * of.
   */
  private InterruptRegisters connectLazily(
      Vm vm, DeviceSlot slot, RegisterPage page, EventFd interrupt) {
    EventFd acknowledgements = eventFd();
    vm.bindNotification(acknowledgements, slot.base() + Register.INTERRUPT_ACK, 1);
    vm.bindNotification(eventFd(), slot.base() + Register.INTERRUPT_ACK, 0);
    LazyInterruptRegisters registers = lazyRegisters(page, interrupt, acknowledgements);
    sweep.add(registers);
    lazy = true;
    return registers;
  }

  private EventFd eventFd() {
    EventFd made = EventFd.nonBlocking();
    eventFds.add(made);
    return made;
  }

  LazyInterruptRegisters lazyRegisters(
      RegisterPage page, EventFd interrupt, EventFd acknowledgements) {
    return new LazyInterruptRegisters(page, interrupt, acknowledgements);
  }

  /** The guest starts. */
  void start() {
    if (lazy) {
      sweep.start();
    }
  }

  /** The thread that clears their bits, to be closed before any of them. */
  AutoCloseable sweep() {
    return sweep;
  }

  /** After all devices, which use what is closed here. */
  @Override
  public void close() {
    sweep.close();
    for (EventFd eventFd : eventFds) {
      eventFd.close();
    }
  }

  private static SpecException unsupported(String why) {
    return new SpecException(ErrorReason.FIELD_UNSUPPORTED, "vmm.register_page", why);
  }
}
