package dev.vireo.vmm.kvm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.Libc;
import dev.vireo.linux.Linux;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.MemoryMapping;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A vCPU's descriptor and the page it shares with KVM ({@code struct kvm_run}), as far as they are
 * alike on all architectures. All of it is used by the vCPU's own thread.
 */
public abstract sealed class Vcpu implements AutoCloseable permits Arm64Vcpu, X86Vcpu {
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
  private static final long KVM_SET_SIGNAL_MASK = 0x4004AE8BL;
  private static final int KVM_KVMCLOCK_CTRL = 0xAEAD;

  private static final int EXIT_REASON = 8;
  private static final int MMIO_ADDRESS = 32;
  private static final int MMIO_DATA = 40;
  private static final int MMIO_LENGTH = 48;
  private static final int MMIO_IS_WRITE = 52;
  private static final int FAILURE_REASON = 32;

  private final int id;
  private final MemoryMapping mapping;

  final Fd fd;
  final MemorySegment run;

  private final Libc libc = Linux.libc();

  /** Takes the descriptor, and closes it if its page cannot be mapped. */
  Vcpu(int id, Fd fd, int mapBytes) {
    this.id = id;
    this.fd = fd;
    try {
      this.mapping = MemoryMapping.shared(fd, 0, mapBytes);
    } catch (RuntimeException e) {
      fd.close();
      throw e;
    }
    this.run = mapping.segment();
  }

  /** Its number in its VM, from 0. */
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

  /** What an exit was an access to: a guest physical address or a port; 0 if it was none. */
  public long accessAddress(int exit) {
    return exit == EXIT_MMIO ? mmioAddress() : 0;
  }

  /** Bytes of that access; 0 if it was none. */
  public int accessWidth(int exit) {
    return exit == EXIT_MMIO ? mmioLength() : 0;
  }

  /** Whether the guest wrote. */
  public boolean accessIsWrite(int exit) {
    return exit == EXIT_MMIO && mmioIsWrite();
  }

  /**
   * Up to eight bytes of what the guest wrote or, once the exit is served, reads, little-endian.
   */
  public long accessValue(int exit) {
    return exit == EXIT_MMIO ? lowBytes(mmioData(), mmioLength()) : 0;
  }

  static long lowBytes(long value, int width) {
    return width >= Long.BYTES ? value : value & ((1L << (Byte.SIZE * width)) - 1);
  }

  /** {@link #EXIT_FAIL_ENTRY}, {@link #EXIT_INTERNAL_ERROR}, {@link #EXIT_SYSTEM_EVENT}: which. */
  public long failureReason() {
    return Integer.toUnsignedLong(run.get(JAVA_INT, FAILURE_REASON));
  }

  /** Where the guest is, for people: the name and the value of its program counter. */
  public abstract String position();

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
   * take the gap for a lock-up. Nothing happens in a guest that does not use kvmclock, which is
   * x86's alone.
   */
  public void noteThatGuestWasPaused() {
    // EINVAL, ENOTTY: no kvmclock.
    int ignored = libc.ioctl(fd.number(), KVM_KVMCLOCK_CTRL, 0);
  }

  /** Unmaps and closes. Not while {@link #run} runs. */
  @Override
  public void close() {
    mapping.close();
    fd.close();
  }
}
