package dev.vireo.vmm.kvm;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.vireo.linux.EventFd;
import dev.vireo.linux.Fd;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A VM's descriptor: its memory and event descriptors, and what else is alike on all architectures.
 */
public abstract sealed class Vm implements AutoCloseable permits Arm64Vm, X86Vm {
  private static final int KVM_CREATE_VCPU = 0xAE41;
  private static final long KVM_SET_USER_MEMORY_REGION = 0x4020AE46L;
  private static final long KVM_IRQFD = 0x4020AE76L;
  private static final long KVM_IOEVENTFD = 0x4040AE79L;

  private static final int KVM_MEM_READONLY = 2;
  private static final int KVM_IOEVENTFD_FLAG_DATAMATCH = 1;

  final Fd fd;
  final int vcpuMapBytes;

  Vm(Fd fd, int vcpuMapBytes) {
    this.fd = fd;
    this.vcpuMapBytes = vcpuMapBytes;
  }

  /**
   * {@code KVM_SET_USER_MEMORY_REGION}: guest physical memory from {@code guestAddress} on is
   * {@code memory}, page-aligned, which must stay mapped as long as the VM lives.
   */
  public void setMemoryRegion(int slot, long guestAddress, MemorySegment memory) {
    setMemoryRegion(slot, 0, guestAddress, memory);
  }

  /** Takes away what {@link #setMemoryRegion} gave: the guest's accesses are exits from now on. */
  public void removeMemoryRegion(int slot, long guestAddress) {
    setMemoryRegion(slot, 0, guestAddress, MemorySegment.NULL);
  }

  /**
   * As {@link #setMemoryRegion}, but the guest only reads it: a write is an MMIO exit, or signals
   * the eventfd that is bound to its address. Needs {@link Kvm#CAP_READONLY_MEMORY}.
   */
  public void setReadOnlyMemoryRegion(int slot, long guestAddress, MemorySegment memory) {
    setMemoryRegion(slot, KVM_MEM_READONLY, guestAddress, memory);
  }

  private void setMemoryRegion(int slot, int flags, long guestAddress, MemorySegment memory) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment region = arena.allocate(32, 8);
      region.set(JAVA_INT, 0, slot);
      region.set(JAVA_INT, 4, flags);
      region.set(JAVA_LONG, 8, guestAddress);
      region.set(JAVA_LONG, 16, memory.byteSize());
      region.set(JAVA_LONG, 24, memory.address());
      fd.ioctl(KVM_SET_USER_MEMORY_REGION, region, "KVM_SET_USER_MEMORY_REGION");
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

  /** {@code KVM_CREATE_VCPU}. */
  final Fd openVcpu(int id) {
    return Fd.owning(fd.ioctl(KVM_CREATE_VCPU, id, "KVM_CREATE_VCPU"));
  }

  @Override
  public void close() {
    fd.close();
  }
}
