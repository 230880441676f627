package dev.vireo.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;

/**
 * An {@code io_uring(7)}: operations go into one ring in memory and their results come out of
 * another; one system call hands over all that are new and waits. Results that are there already
 * cost no system call. For one thread at a time. Needs Linux 5.6.
 */
public final class IoUring implements AutoCloseable {
  /** Of a write: durable when it is done ({@code RWF_DSYNC}). */
  public static final int DURABLE = 2;

  // The same on x86-64 and arm64.
  private static final int SYS_IO_URING_SETUP = 425;
  private static final int SYS_IO_URING_ENTER = 426;

  // linux/io_uring.h
  private static final int SETUP_COOP_TASKRUN = 1 << 8;
  private static final int ENTER_GETEVENTS = 1;
  private static final int FEAT_SINGLE_MMAP = 1;
  private static final long OFF_SQES = 0x1000_0000L;
  private static final int OP_READV = 1;
  private static final int OP_WRITEV = 2;
  private static final int OP_FSYNC = 3;
  private static final int OP_TIMEOUT = 11;
  private static final int OP_READ = 22;
  private static final int OP_WRITE = 23;
  private static final int FSYNC_DATASYNC = 1;

  // struct io_uring_params: entries, flags, features, then the offsets of both rings' fields.
  private static final int PARAMS_BYTES = 120;
  private static final int PARAMS_SQ_ENTRIES = 0;
  private static final int PARAMS_CQ_ENTRIES = 4;
  private static final int PARAMS_FLAGS = 8;
  private static final int PARAMS_FEATURES = 20;
  private static final int PARAMS_SQ_HEAD = 40;
  private static final int PARAMS_SQ_TAIL = 44;
  private static final int PARAMS_SQ_ARRAY = 64;
  private static final int PARAMS_CQ_HEAD = 80;
  private static final int PARAMS_CQ_TAIL = 84;
  private static final int PARAMS_CQ_CQES = 100;

  // struct io_uring_sqe { u8 opcode, flags; u16 ioprio; s32 fd; u64 off, addr; u32 len, op_flags;
  // u64 user_data; …
  private static final int SQE_BYTES = 64;
  private static final int SQE_OFFSET = 8;
  private static final int SQE_ADDRESS = 16;
  private static final int SQE_LENGTH = 24;
  private static final int SQE_FLAGS = 28;
  private static final int SQE_USER_DATA = 32;

  // struct io_uring_cqe { u64 user_data; s32 res; u32 flags; }
  private static final int CQE_BYTES = 16;
  private static final int CQE_RESULT = 8;

  private static final long NANOS_PER_SECOND = 1_000_000_000;

  /** Where counts of eventfds go that nobody looks at. */
  private static final long COUNT_SINK = Arena.global().allocate(8, 8).address();

  private static final VarHandle INT = ValueLayout.JAVA_INT.varHandle().withInvokeExactBehavior();

  private final Libc libc;
  private final Fd fd;
  private final MemoryMapping ringsMapping;
  private final MemoryMapping entriesMapping;
  private final MemorySegment rings;
  private final MemorySegment entries;
  private final MemorySegment timespec = Arena.ofAuto().allocate(16, 8);
  private final long submissionHead;
  private final long submissionTail;
  private final int submissionMask;
  private final long completionHead;
  private final long completionTail;
  private final long completions;
  private final int completionMask;
  private int tail;
  private int submitted;
  private int reaped;
  private int seen;

  private IoUring(Libc libc, Fd fd, MemorySegment params) {
    this.libc = libc;
    this.fd = fd;
    int submissionEntries = number(params, PARAMS_SQ_ENTRIES);
    int completionEntries = number(params, PARAMS_CQ_ENTRIES);
    long array = number(params, PARAMS_SQ_ARRAY);
    this.submissionHead = number(params, PARAMS_SQ_HEAD);
    this.submissionTail = number(params, PARAMS_SQ_TAIL);
    this.submissionMask = submissionEntries - 1;
    this.completionHead = number(params, PARAMS_CQ_HEAD);
    this.completionTail = number(params, PARAMS_CQ_TAIL);
    this.completions = number(params, PARAMS_CQ_CQES);
    this.completionMask = completionEntries - 1;
    long bytes =
        Math.max(
            array + 4L * submissionEntries, completions + (long) CQE_BYTES * completionEntries);
    this.ringsMapping = MemoryMapping.shared(fd, 0, bytes);
    try {
      this.entriesMapping =
          MemoryMapping.shared(fd, OFF_SQES, (long) SQE_BYTES * submissionEntries);
    } catch (LinuxException e) {
      ringsMapping.close();
      throw e;
    }
    this.rings = ringsMapping.segment();
    this.entries = entriesMapping.segment();
    for (int i = 0; i < submissionEntries; i++) { // Entry i of the ring is always entry i.
      rings.set(ValueLayout.JAVA_INT, array + 4L * i, i);
    }
  }

  private static int number(MemorySegment params, int offset) {
    return params.get(ValueLayout.JAVA_INT, offset);
  }

  /**
   * @param libc makes the system calls
   * @param operations that are handed over at once, a power of two; twice as many may be under way
   * @throws LinuxException ENOSYS if the kernel has none, EPERM if it does not let this process
   */
  public static IoUring create(Libc libc, int operations) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment params = arena.allocate(PARAMS_BYTES, 8);
      // No interrupt of the thread for a result: it looks when it comes by.
      params.set(ValueLayout.JAVA_INT, PARAMS_FLAGS, SETUP_COOP_TASKRUN);
      long number = setUp(libc, operations, params);
      if (number == -1 && Linux.errno() == Errno.EINVAL) { // Before Linux 5.19.
        params.fill((byte) 0);
        number = setUp(libc, operations, params);
      }
      Fd fd = Fd.owning((int) Linux.check(number, "io_uring_setup"));
      try {
        if ((number(params, PARAMS_FEATURES) & FEAT_SINGLE_MMAP) == 0) {
          throw new LinuxException("io_uring_setup", Errno.ENOSYS);
        }
        return new IoUring(libc, fd, params);
      } catch (LinuxException e) {
        fd.close();
        throw e;
      }
    }
  }

  private static long setUp(Libc libc, int operations, MemorySegment params) {
    return libc.syscall(SYS_IO_URING_SETUP, operations, params.address(), 0, 0, 0);
  }

  /** {@code pread(2)}; {@code tag} comes back with its result. */
  public void read(int file, long address, long length, long offset, long tag) {
    prepare(OP_READ, file, address, length, offset, 0, tag);
  }

  /** {@code preadv(2)}; the vector stays as it is until the result is there. */
  public void readv(int file, long vectors, int count, long offset, long tag) {
    prepare(OP_READV, file, vectors, count, offset, 0, tag);
  }

  /**
   * {@code pwrite(2)}.
   *
   * @param flags {@link #DURABLE}, or 0
   */
  public void write(int file, long address, long length, long offset, int flags, long tag) {
    prepare(OP_WRITE, file, address, length, offset, flags, tag);
  }

  /** {@code pwritev(2)}. */
  public void writev(int file, long vectors, int count, long offset, int flags, long tag) {
    prepare(OP_WRITEV, file, vectors, count, offset, flags, tag);
  }

  /** {@code fdatasync(2)}: of writes whose results are there. */
  public void syncData(int file, long tag) {
    prepare(OP_FSYNC, file, 0, 0, 0, FSYNC_DATASYNC, tag);
  }

  /** Waits for a signal, and takes all signals at once. */
  public void drain(EventFd eventFd, long tag) {
    prepare(OP_READ, eventFd.fd().number(), COUNT_SINK, Long.BYTES, 0, 0, tag);
  }

  /** A result after that time. One at a time. */
  public void timeout(long nanos, long tag) {
    timespec.set(ValueLayout.JAVA_LONG, 0, nanos / NANOS_PER_SECOND);
    timespec.set(ValueLayout.JAVA_LONG, 8, nanos % NANOS_PER_SECOND);
    prepare(OP_TIMEOUT, -1, timespec.address(), 1, 0, 0, tag);
  }

  private void prepare(
      int operation, int file, long address, long length, long offset, int flags, long tag) {
    if (tail - submitted > submissionMask) {
      submit(0);
    }
    long entry = (long) (tail & submissionMask) * SQE_BYTES;
    // Opcode and descriptor; no flags and no priority.
    entries.set(ValueLayout.JAVA_LONG, entry, operation | (long) file << 32);
    entries.set(ValueLayout.JAVA_LONG, entry + SQE_OFFSET, offset);
    entries.set(ValueLayout.JAVA_LONG, entry + SQE_ADDRESS, address);
    entries.set(ValueLayout.JAVA_INT, entry + SQE_LENGTH, (int) length);
    entries.set(ValueLayout.JAVA_INT, entry + SQE_FLAGS, flags);
    entries.set(ValueLayout.JAVA_LONG, entry + SQE_USER_DATA, tag);
    tail++;
  }

  /** Operations that the kernel has not been told of. */
  public int unsubmitted() {
    return tail - submitted;
  }

  /**
   * Hands over what is new, and returns once there are {@code waitFor} results or a signal came.
   *
   * @throws LinuxException if the kernel refuses
   */
  public void submit(int waitFor) {
    INT.setRelease(rings, submissionTail, tail);
    int flags = waitFor > 0 ? ENTER_GETEVENTS : 0;
    do {
      long taken =
          libc.syscall(SYS_IO_URING_ENTER, fd.number(), tail - submitted, waitFor, flags, 0);
      if (taken >= 0) {
        submitted += (int) taken;
      } else if (Linux.errno() == Errno.EINTR) {
        submitted = (int) INT.getAcquire(rings, submissionHead);
        return;
      } else if (Linux.errno() != Errno.EAGAIN && Linux.errno() != Errno.EBUSY) {
        throw new LinuxException("io_uring_enter", Linux.errno());
      }
    } while (submitted != tail);
  }

  /** Whether there is a result; if so, it is the current one. */
  public boolean hasCompletion() {
    if (reaped != seen) {
      return true;
    }
    seen = (int) INT.getAcquire(rings, completionTail);
    return reaped != seen;
  }

  /** The current result's tag. */
  public long tag() {
    return rings.get(ValueLayout.JAVA_LONG, current());
  }

  /** The current result: as the system call's, or a negative error number. */
  public int result() {
    return rings.get(ValueLayout.JAVA_INT, current() + CQE_RESULT);
  }

  private long current() {
    return completions + (long) (reaped & completionMask) * CQE_BYTES;
  }

  /** Goes on to the next result. */
  public void advance() {
    reaped++;
    INT.setRelease(rings, completionHead, reaped);
  }

  /** Ends it. Nothing may be under way that uses memory which goes away. */
  @Override
  public void close() {
    entriesMapping.close();
    ringsMapping.close();
    fd.close();
  }
}
