package dev.vireo.vmm.kvm;

import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** {@code /dev/kvm}: what KVM can do, and where VMs come from. */
public final class Kvm {
  /** {@code KVM_CAP_*} of {@code linux/kvm.h}. */
  public static final int CAP_MAX_VCPUS = 66;

  public static final int CAP_READONLY_MEMORY = 81;

  private static final int KVM_CREATE_VM = 0xAE01;
  private static final int KVM_CHECK_EXTENSION = 0xAE03;
  private static final int KVM_GET_VCPU_MMAP_SIZE = 0xAE04;
  private static final long KVM_GET_SUPPORTED_CPUID = 0xC008AE05L;

  private static volatile @Nullable CpuidTable supportedCpuid;

  private final Fd fd;

  /** Speaks to KVM through a descriptor that stays the caller's. */
  public Kvm(Fd fd) {
    this.fd = fd;
  }

  /** {@code KVM_CHECK_EXTENSION}: 0 if absent, otherwise 1 or the capability's number. */
  public int checkExtension(int capability) {
    return fd.ioctl(KVM_CHECK_EXTENSION, capability, "KVM_CHECK_EXTENSION");
  }

  /** {@code KVM_CREATE_VM} of the default machine type, on an x86-64 host. */
  public X86Vm createX86Vm() {
    return new X86Vm(openVm(), vcpuMapBytes());
  }

  /** {@code KVM_CREATE_VM} with 40 bits of guest physical addresses, on an arm64 host. */
  public Arm64Vm createArm64Vm() {
    return new Arm64Vm(openVm(), vcpuMapBytes());
  }

  private int vcpuMapBytes() {
    return fd.ioctl(KVM_GET_VCPU_MMAP_SIZE, 0, "KVM_GET_VCPU_MMAP_SIZE");
  }

  private Fd openVm() {
    while (true) {
      try {
        return Fd.owning(fd.ioctl(KVM_CREATE_VM, 0, "KVM_CREATE_VM"));
      } catch (LinuxException e) {
        // A signal to this thread, from the JVM for example: nothing has been made yet.
        if (e.errno() != Errno.EINTR) {
          throw e;
        }
      }
    }
  }

  /**
   * {@code KVM_GET_SUPPORTED_CPUID}: every leaf that a vCPU can be given on this host. Asked once:
   * it does not change, and can take half a millisecond.
   */
  public CpuidTable supportedCpuid() {
    CpuidTable known = supportedCpuid;
    if (known == null) {
      known = readSupportedCpuid();
      supportedCpuid = known;
    }
    return known;
  }

  private CpuidTable readSupportedCpuid() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment table = CpuidTable.allocate(arena, CpuidTable.MAX_ENTRIES);
      fd.ioctl(KVM_GET_SUPPORTED_CPUID, table, "KVM_GET_SUPPORTED_CPUID");
      return CpuidTable.copyOf(table);
    }
  }
}
