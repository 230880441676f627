package dev.vireo.vmm.kvm;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.vireo.linux.Fd;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A VM of arm64 vCPUs. KVM serves its PSCI, its timers, and a GICv3. */
public final class Arm64Vm extends Vm {
  private static final long KVM_ARM_PREFERRED_TARGET = 0x8020AEAFL;
  private static final long KVM_CREATE_DEVICE = 0xC00CAEE0L;

  /** struct kvm_vcpu_init: the target and seven words of features. */
  private static final int VCPU_INIT_BYTES = 32;

  private static final int KVM_DEV_TYPE_ARM_VGIC_V3 = 7;
  private static final int CREATE_DEVICE_BYTES = 12;
  private static final int CREATE_DEVICE_FD = 4;

  Arm64Vm(Fd fd, int vcpuMapBytes) {
    super(fd, vcpuMapBytes);
  }

  /**
   * {@code KVM_CREATE_VCPU} and {@code KVM_ARM_VCPU_INIT}, as the CPU that the host has.
   *
   * @param id by which KVM makes its MPIDR_EL1; all but 0 wait for a PSCI CPU_ON
   */
  public Arm64Vcpu createVcpu(int id) {
    Arm64Vcpu vcpu = new Arm64Vcpu(id, openVcpu(id), vcpuMapBytes);
    try (Arena arena = Arena.ofConfined()) {
      vcpu.initialize(preferredTarget(arena), id != 0);
      return vcpu;
    } catch (RuntimeException e) {
      vcpu.close();
      throw e;
    }
  }

  private MemorySegment preferredTarget(Arena arena) {
    MemorySegment target = arena.allocate(VCPU_INIT_BYTES, 8);
    fd.ioctl(KVM_ARM_PREFERRED_TARGET, target, "KVM_ARM_PREFERRED_TARGET");
    return target;
  }

  /** {@code KVM_CREATE_DEVICE} of a GICv3, which then has to be set up. */
  public VgicV3 createVgicV3() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment device = arena.allocate(CREATE_DEVICE_BYTES, 4);
      device.set(JAVA_INT, 0, KVM_DEV_TYPE_ARM_VGIC_V3);
      fd.ioctl(KVM_CREATE_DEVICE, device, "KVM_CREATE_DEVICE");
      return new VgicV3(Fd.owning(device.get(JAVA_INT, CREATE_DEVICE_FD)));
    }
  }
}
