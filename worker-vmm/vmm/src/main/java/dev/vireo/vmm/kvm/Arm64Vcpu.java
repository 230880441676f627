package dev.vireo.vmm.kvm;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.vireo.linux.Fd;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A vCPU of an arm64 VM ({@code arch/arm64/include/uapi/asm/kvm.h}). */
public final class Arm64Vcpu extends Vcpu {
  /** {@code KVM_SYSTEM_EVENT_*}: what {@link #EXIT_SYSTEM_EVENT} is about. */
  public static final int SYSTEM_EVENT_SHUTDOWN = 1;

  public static final int SYSTEM_EVENT_RESET = 2;

  private static final long KVM_GET_ONE_REG = 0x4010AEABL;
  private static final long KVM_SET_ONE_REG = 0x4010AEACL;
  private static final long KVM_ARM_VCPU_INIT = 0x4020AEAEL;

  /** Bits of struct kvm_vcpu_init's first word of features. */
  private static final int KVM_ARM_VCPU_POWER_OFF = 1;

  private static final int KVM_ARM_VCPU_PSCI_0_2 = 1 << 2;
  private static final int INIT_FEATURES = 4;

  /**
   * {@code KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE}: the lower bits are an index into
   * struct kvm_regs, which begins with x0 to x30, SP, PC, in units of 32 bits.
   */
  private static final long CORE_REGISTER = 0x6030_0000_0010_0000L;

  private static final int X0 = 0;
  private static final int PC = 2 * 32;

  private static final int SYSTEM_EVENT_TYPE = 32;

  Arm64Vcpu(int id, Fd fd, int mapBytes) {
    super(id, fd, mapBytes);
  }

  /**
   * {@code KVM_ARM_VCPU_INIT}: as after a reset, with PSCI 1.0 for its firmware.
   *
   * @param target what {@code KVM_ARM_PREFERRED_TARGET} gave
   * @param poweredOff whether it waits for a PSCI CPU_ON
   */
  void initialize(MemorySegment target, boolean poweredOff) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment init = arena.allocate(target.byteSize(), 8).copyFrom(target);
      init.set(
          JAVA_INT,
          INIT_FEATURES,
          KVM_ARM_VCPU_PSCI_0_2 | (poweredOff ? KVM_ARM_VCPU_POWER_OFF : 0));
      fd.ioctl(KVM_ARM_VCPU_INIT, init, "KVM_ARM_VCPU_INIT");
    }
  }

  /** {@code KVM_SET_ONE_REG} of the program counter. */
  public void setProgramCounter(long address) {
    setCoreRegister(PC, address);
  }

  /** {@code KVM_SET_ONE_REG} of general register x0. */
  public void setX0(long value) {
    setCoreRegister(X0, value);
  }

  @Override
  public String position() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment value = arena.allocate(8, 8);
      fd.ioctl(KVM_GET_ONE_REG, oneRegister(arena, PC, value), "KVM_GET_ONE_REG");
      return "pc 0x" + Long.toHexString(value.get(JAVA_LONG, 0));
    }
  }

  private void setCoreRegister(int index, long value) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment content = arena.allocate(8, 8);
      content.set(JAVA_LONG, 0, value);
      fd.ioctl(KVM_SET_ONE_REG, oneRegister(arena, index, content), "KVM_SET_ONE_REG");
    }
  }

  /** struct kvm_one_reg. */
  private static MemorySegment oneRegister(Arena arena, int index, MemorySegment value) {
    MemorySegment register = arena.allocate(16, 8);
    register.set(JAVA_LONG, 0, CORE_REGISTER | index);
    register.set(JAVA_LONG, 8, value.address());
    return register;
  }

  /** {@link #EXIT_SYSTEM_EVENT}: a {@code SYSTEM_EVENT_} constant. */
  public int systemEvent() {
    return run.get(JAVA_INT, SYSTEM_EVENT_TYPE);
  }
}
