package dev.vireo.vmm.machine;

import dev.vireo.catalog.X86Platform;
import dev.vireo.vmm.kvm.CpuidTable;
import dev.vireo.vmm.kvm.Kvm;
import dev.vireo.vmm.kvm.X86Vcpu;
import dev.vireo.vmm.kvm.X86Vm;

/**
 * What is alike in every x86-64 machine: KVM's VM, interrupt controllers and timer, and the first
 * vCPU. It takes most of the time that a machine takes to make, so an idle VMM has one ready.
 */
final class X86Chassis implements AutoCloseable {
  /** Four pages below the BIOS that a PC would have at the end of 32 bits. */
  private static final long REAL_MODE_PAGES = 0xfffb_c000L;

  private static final int CAP_TSC_DEADLINE_TIMER = 72;

  /** Fast string operations on (Intel SDM volume 4, IA32_MISC_ENABLE). */
  private static final int MSR_MISC_ENABLE = 0x1a0;

  private static final int MISC_ENABLE_FAST_STRINGS = 1;

  /** Memory is write-back unless its page says otherwise (IA32_MTRR_DEF_TYPE). */
  private static final int MSR_MTRR_DEF_TYPE = 0x2ff;

  private static final int MTRR_ENABLED_WRITE_BACK = (1 << 11) | 6;

  private final X86Vm vm;
  private final int mostVcpus;
  private final CpuidTable supported;
  private final boolean tscDeadline;
  private final boolean readOnlyMemory;
  private final X86Vcpu first;

  /**
   * @throws dev.vireo.linux.LinuxException if KVM refuses
   */
  X86Chassis(Kvm kvm) {
    this.mostVcpus = Math.min(kvm.checkExtension(Kvm.CAP_MAX_VCPUS), X86Platform.MAX_VCPUS);
    this.supported = kvm.supportedCpuid();
    this.tscDeadline = kvm.checkExtension(CAP_TSC_DEADLINE_TIMER) > 0;
    this.readOnlyMemory = kvm.checkExtension(Kvm.CAP_READONLY_MEMORY) > 0;
    this.vm = kvm.createX86Vm();
    try {
      vm.setRealModePages(REAL_MODE_PAGES);
      vm.createIrqchip();
      vm.createPit();
      this.first = createVcpu(0, 1);
    } catch (RuntimeException e) {
      vm.close();
      throw e;
    }
  }

  X86Vm vm() {
    return vm;
  }

  int mostVcpus() {
    return mostVcpus;
  }

  boolean hasReadOnlyMemory() {
    return readOnlyMemory;
  }

  /** vCPU 0 of {@code count}; it closes with the chassis. */
  X86Vcpu firstVcpu(int count) {
    if (count > 1) {
      first.setCpuid(VcpuIdentity.of(supported, 0, count, tscDeadline));
    }
    return first;
  }

  /** Another vCPU of {@code count}, the caller's to close. */
  X86Vcpu createVcpu(int id, int count) {
    X86Vcpu vcpu = vm.createVcpu(id);
    try {
      vcpu.setCpuid(VcpuIdentity.of(supported, id, count, tscDeadline));
      // A host that does not let these be set has them right already.
      boolean ignored = vcpu.setMsr(MSR_MISC_ENABLE, MISC_ENABLE_FAST_STRINGS);
      ignored |= vcpu.setMsr(MSR_MTRR_DEF_TYPE, MTRR_ENABLED_WRITE_BACK);
      vcpu.wireLocalInterrupts();
      return vcpu;
    } catch (RuntimeException e) {
      vcpu.close();
      throw e;
    }
  }

  @Override
  public void close() {
    first.close();
    vm.close();
  }
}
