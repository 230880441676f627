package dev.vireo.vmm.kvm;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.vireo.linux.EventFd;
import dev.vireo.linux.Fd;
import dev.vireo.linux.MemoryMapping;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A VM's descriptor: its memory, interrupt controllers and event descriptors. */
public final class Vm implements AutoCloseable {
  private static final int KVM_CREATE_VCPU = 0xAE41;
  private static final long KVM_SET_USER_MEMORY_REGION = 0x4020AE46L;
  private static final int KVM_SET_TSS_ADDR = 0xAE47;
  private static final long KVM_SET_IDENTITY_MAP_ADDR = 0x4008AE48L;
  private static final int KVM_CREATE_IRQCHIP = 0xAE60;
  private static final long KVM_IRQ_LINE = 0x4008AE61L;
  private static final long KVM_IRQFD = 0x4020AE76L;
  private static final long KVM_CREATE_PIT2 = 0x4040AE77L;
  private static final long KVM_IOEVENTFD = 0x4040AE79L;

  private static final int KVM_PIT_SPEAKER_DUMMY = 1;
  private static final int KVM_IOEVENTFD_FLAG_DATAMATCH = 1;

  private final Fd fd;
  private final int vcpuMapBytes;

  Vm(Fd fd, int vcpuMapBytes) {
    this.fd = fd;
    this.vcpuMapBytes = vcpuMapBytes;
  }

  /**
   * {@code KVM_SET_USER_MEMORY_REGION}: guest physical memory from {@code guestAddress} on is
   * {@code memory}, page-aligned, which must stay mapped as long as the VM lives.
   */
  public void setMemoryRegion(int slot, long guestAddress, MemorySegment memory) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment region = arena.allocate(32, 8);
      region.set(JAVA_INT, 0, slot);
      region.set(JAVA_LONG, 8, guestAddress);
      region.set(JAVA_LONG, 16, memory.byteSize());
      region.set(JAVA_LONG, 24, memory.address());
      fd.ioctl(KVM_SET_USER_MEMORY_REGION, region, "KVM_SET_USER_MEMORY_REGION");
    }
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

  /** {@code KVM_IRQFD}: a signal on the eventfd raises an edge on the interrupt line. */
  public void bindInterrupt(EventFd event, int gsi) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment irqfd = arena.allocate(32, 8);
      irqfd.set(JAVA_INT, 0, event.fd().number());
      irqfd.set(JAVA_INT, 4, gsi);
      fd.ioctl(KVM_IRQFD, irqfd, "KVM_IRQFD");
    }
  }

  /**
   * {@code KVM_IOEVENTFD}: the guest's 32-bit write of {@code value} to {@code guestAddress}
   * signals the eventfd and is not an exit to user space.
   */
  public void bindNotification(EventFd event, long guestAddress, int value) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment ioeventfd = arena.allocate(64, 8);
      ioeventfd.set(JAVA_LONG, 0, Integer.toUnsignedLong(value));
      ioeventfd.set(JAVA_LONG, 8, guestAddress);
      ioeventfd.set(JAVA_INT, 16, Integer.BYTES);
      ioeventfd.set(JAVA_INT, 20, event.fd().number());
      ioeventfd.set(JAVA_INT, 24, KVM_IOEVENTFD_FLAG_DATAMATCH);
      fd.ioctl(KVM_IOEVENTFD, ioeventfd, "KVM_IOEVENTFD");
    }
  }

  /** {@code KVM_CREATE_VCPU}; {@code id} is its APIC id too. */
  public Vcpu createVcpu(int id) {
    Fd vcpu = Fd.owning(fd.ioctl(KVM_CREATE_VCPU, id, "KVM_CREATE_VCPU"));
    try {
      return new Vcpu(id, vcpu, MemoryMapping.shared(vcpu, 0, vcpuMapBytes));
    } catch (RuntimeException e) {
      vcpu.close();
      throw e;
    }
  }

  @Override
  public void close() {
    fd.close();
  }
}
