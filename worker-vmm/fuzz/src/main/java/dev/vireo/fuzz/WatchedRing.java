package dev.vireo.fuzz;

import dev.vireo.linux.IoUring;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.util.HashMap;
import java.util.Map;
import java.util.function.IntPredicate;
import java.util.function.IntToLongFunction;

/**
 * An {@link IoUring} as it is seen from outside, in the memory that it and the kernel share: what
 * is about to be handed over, what is under way, and which of that waits for a signal alone.
 *
 * <p>A signal's read ends some time after the signal, and nothing in that memory shows the time
 * between. So signals are counted by whoever gives them: a wait that began before the last one is
 * about to end, whatever else can be seen.
 */
final class WatchedRing {
  static final int SYS_SETUP = 425;
  static final int SYS_ENTER = 426;
  static final int ENTER_GETEVENTS = 1;
  static final int OP_POLL_ADD = 6;

  // linux/io_uring.h: operations that transfer, and what is where in an entry.
  static final int OP_READV = 1;
  static final int OP_WRITEV = 2;
  static final int OP_READ = 22;
  static final int OP_WRITE = 23;
  static final long SQE_OPCODE = 0;
  static final long SQE_FD = 4;
  static final long SQE_OFFSET = 8;
  static final long SQE_ADDRESS = 16;
  static final long SQE_LENGTH = 24;
  static final long SQE_FLAGS = 28;
  private static final long SQE_USER_DATA = 32;
  private static final int SQE_BYTES = 64;
  private static final int CQE_BYTES = 16;

  // mmap(2) of the ring's descriptor
  private static final long OFF_RINGS = 0;
  private static final long OFF_SQES = 0x1000_0000;

  // struct io_uring_params: offsets in the rings' memory of what is used here
  private static final int PARAMS_BYTES = 120;
  private static final int PARAMS_SQ_HEAD = 40;
  private static final int PARAMS_SQ_MASK = 48;
  private static final int PARAMS_SQ_ARRAY = 64;
  private static final int PARAMS_CQ_HEAD = 80;
  private static final int PARAMS_CQ_TAIL = 84;
  private static final int PARAMS_CQ_MASK = 88;
  private static final int PARAMS_CQ_CQES = 100;

  private static final VarHandle INT = ValueLayout.JAVA_INT.varHandle().withInvokeExactBehavior();

  /** A signal that is waited for, and how many there had been when that was made known. */
  private record Wait(int eventFd, long signals) {}

  private final MemorySegment params = MemorySegment.ofArray(new byte[PARAMS_BYTES]);
  private final IntPredicate isEventFd;
  private final IntToLongFunction signals;
  private final Map<Long, Wait> waits = new HashMap<>();
  private MemorySegment rings = MemorySegment.NULL;
  private MemorySegment entries = MemorySegment.NULL;
  private int seen;

  /**
   * @param params address of the {@code struct io_uring_params} that the kernel has filled in
   * @param signals given to an eventfd up to now; one that is being given is waited for
   */
  WatchedRing(long params, IntPredicate isEventFd, IntToLongFunction signals) {
    this.params.copyFrom(MemorySegment.ofAddress(params).reinterpret(PARAMS_BYTES));
    this.isEventFd = isEventFd;
    this.signals = signals;
  }

  /** Its descriptor was mapped. */
  void mapped(long offset, long address, long bytes) {
    MemorySegment memory = MemorySegment.ofAddress(address).reinterpret(bytes);
    if (offset == OFF_RINGS) {
      rings = memory;
    } else if (offset == OFF_SQES) {
      entries = memory;
    }
  }

  // What its thread is told, or may change

  /** Entry {@code i} of those that the kernel has not taken yet. */
  MemorySegment newEntry(int i) {
    int slot = (number(PARAMS_SQ_HEAD) + i) & number(PARAMS_SQ_MASK);
    long array = Integer.toUnsignedLong(param(PARAMS_SQ_ARRAY));
    int index = rings.get(ValueLayout.JAVA_INT, array + 4L * slot);
    return entries.asSlice((long) index * SQE_BYTES, SQE_BYTES);
  }

  /** Whether an entry is about nothing but a signal. */
  boolean isWait(MemorySegment entry) {
    int opcode = entry.get(ValueLayout.JAVA_BYTE, SQE_OPCODE);
    return (opcode == OP_READ || opcode == OP_POLL_ADD)
        && isEventFd.test(entry.get(ValueLayout.JAVA_INT, SQE_FD));
  }

  /** Before the kernel is given {@code count} entries. */
  synchronized void beforeEnter(int count) {
    for (int tail = number(PARAMS_CQ_TAIL); seen != tail; seen++) {
      long cqe =
          Integer.toUnsignedLong(param(PARAMS_CQ_CQES))
              + (long) (seen & number(PARAMS_CQ_MASK)) * CQE_BYTES;
      waits.remove(rings.get(ValueLayout.JAVA_LONG, cqe));
    }
    // A signal that is known of here has shown itself, at the latest, when the kernel is left.
    waits.replaceAll((tag, wait) -> waitFor(wait.eventFd));
    for (int i = 0; i < count; i++) {
      MemorySegment entry = newEntry(i);
      if (isWait(entry)) {
        waits.put(
            entry.get(ValueLayout.JAVA_LONG, SQE_USER_DATA),
            waitFor(entry.get(ValueLayout.JAVA_INT, SQE_FD)));
      }
    }
  }

  private Wait waitFor(int eventFd) {
    return new Wait(eventFd, signals.applyAsLong(eventFd));
  }

  boolean hasResults() {
    return number(PARAMS_CQ_HEAD) != number(PARAMS_CQ_TAIL);
  }

  // What others see

  /**
   * Whether nothing is under way but waits for signals that nobody has given; while its thread
   * sleeps. For whoever gives these signals.
   */
  synchronized boolean isIdle() {
    int ended = number(PARAMS_CQ_TAIL);
    return ended == number(PARAMS_CQ_HEAD)
        && number(PARAMS_SQ_HEAD) - ended == waits.size()
        && waits.values().stream().allMatch(wait -> wait.equals(waitFor(wait.eventFd)));
  }

  private int param(long offset) {
    return params.get(ValueLayout.JAVA_INT_UNALIGNED, offset);
  }

  /** The number whose place is a parameter. */
  private int number(int parameter) {
    return (int) INT.getAcquire(rings, Integer.toUnsignedLong(param(parameter)));
  }
}
