package dev.vireo.vmm.kvm;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.vireo.linux.Fd;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A VM of x86-64 vCPUs: a PC's interrupt controllers and timer. */
public final class X86Vm extends Vm {
  private static final int KVM_SET_TSS_ADDR = 0xAE47;
  private static final long KVM_SET_IDENTITY_MAP_ADDR = 0x4008AE48L;
  private static final int KVM_CREATE_IRQCHIP = 0xAE60;
  private static final long KVM_CREATE_PIT2 = 0x4040AE77L;
  private static final int KVM_PIT_SPEAKER_DUMMY = 1;
  private static final long KVM_IRQ_LINE = 0x4008AE61L;

  X86Vm(Fd fd, int vcpuMapBytes) {
    super(fd, vcpuMapBytes);
  }

  /**
   * {@code KVM_SET_IDENTITY_MAP_ADDR} and {@code KVM_SET_TSS_ADDR}: one page and the three after
   * it, out of the guest's way, which Intel's KVM uses to run real mode. Before the first vCPU.
   */
  public void setRealModePages(long guestAddress) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment address = arena.allocate(8, 8);
      address.set(JAVA_LONG, 0, guestAddress);
      fd.ioctl(KVM_SET_IDENTITY_MAP_ADDR, address, "KVM_SET_IDENTITY_MAP_ADDR");
    }
    fd.ioctl(KVM_SET_TSS_ADDR, guestAddress + 4096, "KVM_SET_TSS_ADDR");
  }

  /** {@code KVM_CREATE_IRQCHIP}: two 8259, an IOAPIC, and a local APIC in every vCPU. */
  public void createIrqchip() {
    fd.ioctl(KVM_CREATE_IRQCHIP, 0, "KVM_CREATE_IRQCHIP");
  }

  /** {@code KVM_CREATE_PIT2}: an 8254 timer, and port 0x61 that drives no speaker. */
  public void createPit() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment config = arena.allocate(64, 8);
      config.set(JAVA_INT, 0, KVM_PIT_SPEAKER_DUMMY);
      fd.ioctl(KVM_CREATE_PIT2, config, "KVM_CREATE_PIT2");
    }
  }

  /** {@code KVM_IRQ_LINE}: sets the level of an interrupt line. */
  public void setIrqLine(int gsi, boolean high) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment level = arena.allocate(8, 8);
      level.set(JAVA_INT, 0, gsi);
      level.set(JAVA_INT, 4, high ? 1 : 0);
      fd.ioctl(KVM_IRQ_LINE, level, "KVM_IRQ_LINE");
    }
  }

  /** {@code KVM_CREATE_VCPU}; {@code id} is its APIC id too. */
  public X86Vcpu createVcpu(int id) {
    return new X86Vcpu(id, openVcpu(id), vcpuMapBytes);
  }
}
