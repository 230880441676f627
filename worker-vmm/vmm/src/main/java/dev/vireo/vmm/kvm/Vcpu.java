package dev.vireo.vmm.kvm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.Libc;
import dev.vireo.linux.Linux;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.MemoryMapping;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A vCPU's descriptor and the page it shares with KVM ({@code struct kvm_run}). All of it is used
 * by the vCPU's own thread.
 */
public final class Vcpu implements AutoCloseable {
  /** {@code KVM_EXIT_*}: why {@link #run} came back. */
  public static final int EXIT_UNKNOWN = 0;

  public static final int EXIT_EXCEPTION = 1;
  public static final int EXIT_IO = 2;
  public static final int EXIT_DEBUG = 4;
  public static final int EXIT_HLT = 5;
  public static final int EXIT_MMIO = 6;
  public static final int EXIT_SHUTDOWN = 8;
  public static final int EXIT_FAIL_ENTRY = 9;
  public static final int EXIT_INTERNAL_ERROR = 17;
  public static final int EXIT_SYSTEM_EVENT = 24;

  /** Not KVM's: a signal was pending. */
  public static final int INTERRUPTED = -1;

  private static final int KVM_RUN = 0xAE80;
  private static final long KVM_GET_REGS = 0x8090AE81L;
  private static final long KVM_SET_REGS = 0x4090AE82L;
  private static final long KVM_GET_SREGS = 0x8138AE83L;
  private static final long KVM_SET_SREGS = 0x4138AE84L;
  private static final long KVM_SET_MSRS = 0x4008AE89L;
  private static final long KVM_SET_SIGNAL_MASK = 0x4004AE8BL;
  private static final long KVM_GET_LAPIC = 0x8400AE8EL;
  private static final long KVM_SET_LAPIC = 0x4400AE8FL;
  private static final long KVM_SET_CPUID2 = 0x4008AE90L;
  private static final int KVM_KVMCLOCK_CTRL = 0xAEAD;

  private static final int LAPIC_BYTES = 1024;
  private static final int LAPIC_LVT0 = 0x350;
  private static final int LAPIC_LVT1 = 0x360;
  private static final int DELIVER_EXTINT = 7 << 8;
  private static final int DELIVER_NMI = 4 << 8;

  private static final int EXIT_REASON = 8;
  private static final int IO_DIRECTION = 32;
  private static final int IO_SIZE = 33;
  private static final int IO_PORT = 34;
  private static final int IO_COUNT = 36;
  private static final int IO_DATA_OFFSET = 40;
  private static final int MMIO_ADDRESS = 32;
  private static final int MMIO_DATA = 40;
  private static final int MMIO_LENGTH = 48;
  private static final int MMIO_IS_WRITE = 52;
  private static final int FAILURE_REASON = 32;

  private final int id;
  private final Fd fd;
  private final MemoryMapping mapping;
  private final MemorySegment run;
  private final Libc libc = Linux.libc();

  Vcpu(int id, Fd fd, MemoryMapping mapping) {
    this.id = id;
    this.fd = fd;
    this.mapping = mapping;
    this.run = mapping.segment();
  }

  /** Its APIC id. */
  public int id() {
    return id;
  }

  /**
   * {@code KVM_RUN}: lets the guest run until it needs user space.
   *
   * @return an {@code EXIT_} constant, or {@link #INTERRUPTED}
   */
  public int run() {
    if (libc.ioctl(fd.number(), KVM_RUN, 0) == -1) {
      int errno = Linux.errno();
      if (errno == Errno.EINTR || errno == Errno.EAGAIN) {
        return INTERRUPTED;
      }
      throw new LinuxException("KVM_RUN", errno);
    }
    return run.get(JAVA_INT, EXIT_REASON);
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

  /** {@link #EXIT_MMIO}: guest physical address. */
  public long mmioAddress() {
    return run.get(JAVA_LONG, MMIO_ADDRESS);
  }

  /** {@link #EXIT_MMIO}: width, 1 to 8 bytes. */
  public int mmioLength() {
    return run.get(JAVA_INT, MMIO_LENGTH);
  }

  /** {@link #EXIT_MMIO}: whether the guest writes. */
  public boolean mmioIsWrite() {
    return run.get(JAVA_BYTE, MMIO_IS_WRITE) != 0;
  }

  /** {@link #EXIT_MMIO}: what the guest writes; bytes beyond {@link #mmioLength} are undefined. */
  public long mmioData() {
    return run.get(JAVA_LONG, MMIO_DATA);
  }

  /** {@link #EXIT_MMIO}: what the guest reads. */
  public void setMmioData(long value) {
    run.set(JAVA_LONG, MMIO_DATA, value);
  }

  /** {@link #EXIT_FAIL_ENTRY}, {@link #EXIT_INTERNAL_ERROR}, {@link #EXIT_SYSTEM_EVENT}: which. */
  public long failureReason() {
    return Integer.toUnsignedLong(run.get(JAVA_INT, FAILURE_REASON));
  }

  /** {@code KVM_GET_REGS}. */
  public Registers registers() {
    Registers registers = new Registers();
    fd.ioctl(KVM_GET_REGS, registers.structure(), "KVM_GET_REGS");
    return registers;
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

  /** {@code KVM_SET_SIGNAL_MASK}: the signals that stay blocked while the guest runs. */
  public void setSignalMask(long mask) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment signalMask = arena.allocate(12, 4);
      signalMask.set(JAVA_INT, 0, Long.BYTES);
      signalMask.set(JAVA_INT, 4, (int) mask);
      signalMask.set(JAVA_INT, 8, (int) (mask >>> 32));
      fd.ioctl(KVM_SET_SIGNAL_MASK, signalMask, "KVM_SET_SIGNAL_MASK");
    }
  }

  /**
   * {@code KVM_KVMCLOCK_CTRL}: tells the guest that it was paused, so that its watchdogs do not
   * take the gap for a lock-up. Nothing happens in a guest that does not use kvmclock.
   */
  public void noteThatGuestWasPaused() {
    // EINVAL: no kvmclock.
    int ignored = libc.ioctl(fd.number(), KVM_KVMCLOCK_CTRL, 0);
  }

  /** Unmaps and closes. Not while {@link #run} runs. */
  @Override
  public void close() {
    mapping.close();
    fd.close();
  }
}
