package dev.vireo.vmm.kvm;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.vireo.linux.Fd;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * KVM's GICv3 as a device (Documentation/virt/kvm/devices/arm-vgic-v3.rst). The VM keeps it alive;
 * this is the descriptor to set it up with.
 */
public final class VgicV3 implements AutoCloseable {
  private static final long KVM_SET_DEVICE_ATTR = 0x4018AEE1L;

  private static final int KVM_DEV_ARM_VGIC_GRP_ADDR = 0;
  private static final int KVM_DEV_ARM_VGIC_GRP_NR_IRQS = 3;
  private static final int KVM_DEV_ARM_VGIC_GRP_CTRL = 4;
  private static final int KVM_VGIC_V3_ADDR_TYPE_DIST = 2;
  private static final int KVM_VGIC_V3_ADDR_TYPE_REDIST = 3;
  private static final int KVM_DEV_ARM_VGIC_CTRL_INIT = 0;

  private final Fd fd;

  VgicV3(Fd fd) {
    this.fd = fd;
  }

  /**
   * Sets it up, once, when all vCPUs have been made.
   *
   * @param interrupts of all kinds, private ones included: a multiple of 32
   * @param distributor guest physical address of its registers
   * @param redistributors that of the first vCPU's; the others' follow
   */
  public void initialize(int interrupts, long distributor, long redistributors) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment value = arena.allocate(8, 8);
      value.set(JAVA_INT, 0, interrupts);
      set(KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, value.address());
      value.set(JAVA_LONG, 0, distributor);
      set(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, value.address());
      value.set(JAVA_LONG, 0, redistributors);
      set(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, value.address());
      set(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0);
    }
  }

  /** {@code KVM_SET_DEVICE_ATTR} with a struct kvm_device_attr. */
  private void set(int group, long attribute, long valueAddress) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment attr = arena.allocate(24, 8);
      attr.set(JAVA_INT, 4, group);
      attr.set(JAVA_LONG, 8, attribute);
      attr.set(JAVA_LONG, 16, valueAddress);
      fd.ioctl(KVM_SET_DEVICE_ATTR, attr, "KVM_SET_DEVICE_ATTR of the GIC");
    }
  }

  @Override
  public void close() {
    fd.close();
  }
}
