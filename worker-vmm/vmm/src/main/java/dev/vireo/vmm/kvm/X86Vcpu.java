package dev.vireo.vmm.kvm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import dev.vireo.linux.Fd;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A vCPU of an x86-64 VM ({@code arch/x86/include/uapi/asm/kvm.h}). */
public final class X86Vcpu extends Vcpu {
  private static final long KVM_GET_REGS = 0x8090AE81L;
  private static final long KVM_SET_REGS = 0x4090AE82L;
  private static final long KVM_GET_SREGS = 0x8138AE83L;
  private static final long KVM_SET_SREGS = 0x4138AE84L;
  private static final long KVM_SET_MSRS = 0x4008AE89L;
  private static final long KVM_GET_LAPIC = 0x8400AE8EL;
  private static final long KVM_SET_LAPIC = 0x4400AE8FL;
  private static final long KVM_SET_CPUID2 = 0x4008AE90L;

  private static final int LAPIC_BYTES = 1024;
  private static final int LAPIC_LVT0 = 0x350;
  private static final int LAPIC_LVT1 = 0x360;
  private static final int DELIVER_EXTINT = 7 << 8;
  private static final int DELIVER_NMI = 4 << 8;

  private static final int IO_DIRECTION = 32;
  private static final int IO_SIZE = 33;
  private static final int IO_PORT = 34;
  private static final int IO_COUNT = 36;
  private static final int IO_DATA_OFFSET = 40;

  X86Vcpu(int id, Fd fd, int mapBytes) {
    super(id, fd, mapBytes);
  }

  /** {@link #EXIT_IO}: whether the guest writes. */
  public boolean ioIsWrite() {
    return run.get(JAVA_BYTE, IO_DIRECTION) == 1;
  }

  /** {@link #EXIT_IO}: width of an access, 1, 2 or 4 bytes. */
  public int ioSize() {
    return run.get(JAVA_BYTE, IO_SIZE);
  }

  /** {@link #EXIT_IO}: the port, 0 to 0xffff. */
  public int ioPort() {
    return Short.toUnsignedInt(run.get(JAVA_SHORT, IO_PORT));
  }

  /** {@link #EXIT_IO}: number of accesses: more than one for string instructions. */
  public int ioCount() {
    return run.get(JAVA_INT, IO_COUNT);
  }

  /** {@link #EXIT_IO}: the accesses' data, {@link #ioSize} bytes each. */
  public MemorySegment ioData() {
    return run.asSlice(run.get(JAVA_LONG, IO_DATA_OFFSET), (long) ioSize() * ioCount());
  }

  @Override
  public long accessAddress(int exit) {
    return exit == EXIT_IO ? ioPort() : super.accessAddress(exit);
  }

  @Override
  public int accessWidth(int exit) {
    return exit == EXIT_IO ? ioSize() * ioCount() : super.accessWidth(exit);
  }

  @Override
  public boolean accessIsWrite(int exit) {
    return exit == EXIT_IO ? ioIsWrite() : super.accessIsWrite(exit);
  }

  /** The page goes on behind the data, so eight bytes can always be read. */
  @Override
  public long accessValue(int exit) {
    return exit == EXIT_IO
        ? lowBytes(
            run.get(JAVA_LONG_UNALIGNED, run.get(JAVA_LONG, IO_DATA_OFFSET)), accessWidth(exit))
        : super.accessValue(exit);
  }

  /** {@code KVM_GET_REGS}. */
  public Registers registers() {
    Registers registers = new Registers();
    fd.ioctl(KVM_GET_REGS, registers.structure(), "KVM_GET_REGS");
    return registers;
  }

  @Override
  public String position() {
    return "rip 0x" + Long.toHexString(registers().rip());
  }

  /** {@code KVM_SET_REGS}. */
  public void setRegisters(Registers registers) {
    fd.ioctl(KVM_SET_REGS, registers.structure(), "KVM_SET_REGS");
  }

  /** {@code KVM_GET_SREGS}. */
  public SpecialRegisters specialRegisters() {
    SpecialRegisters registers = new SpecialRegisters();
    fd.ioctl(KVM_GET_SREGS, registers.structure(), "KVM_GET_SREGS");
    return registers;
  }

  /** {@code KVM_SET_SREGS}. */
  public void setSpecialRegisters(SpecialRegisters registers) {
    fd.ioctl(KVM_SET_SREGS, registers.structure(), "KVM_SET_SREGS");
  }

  /** {@code KVM_SET_CPUID2}. */
  public void setCpuid(CpuidTable cpuid) {
    try (Arena arena = Arena.ofConfined()) {
      fd.ioctl(KVM_SET_CPUID2, cpuid.toStructure(arena), "KVM_SET_CPUID2");
    }
  }

  /**
   * {@code KVM_SET_MSRS} of one model-specific register.
   *
   * @return false if this host's KVM does not let it be set
   */
  public boolean setMsr(int index, long value) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment msrs = arena.allocate(24, 8);
      msrs.set(JAVA_INT, 0, 1);
      msrs.set(JAVA_INT, 8, index);
      msrs.set(JAVA_LONG, 16, value);
      return fd.ioctl(KVM_SET_MSRS, msrs, "KVM_SET_MSRS") == 1;
    }
  }

  /**
   * {@code KVM_SET_LAPIC}: wires the local interrupt pins as the MP specification's virtual wire
   * mode and our tables say: LINT0 to the 8259, LINT1 to NMI.
   */
  public void wireLocalInterrupts() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment lapic = arena.allocate(LAPIC_BYTES, 8);
      fd.ioctl(KVM_GET_LAPIC, lapic, "KVM_GET_LAPIC");
      lapic.set(JAVA_INT, LAPIC_LVT0, DELIVER_EXTINT);
      lapic.set(JAVA_INT, LAPIC_LVT1, DELIVER_NMI);
      fd.ioctl(KVM_SET_LAPIC, lapic, "KVM_SET_LAPIC");
    }
  }
}
