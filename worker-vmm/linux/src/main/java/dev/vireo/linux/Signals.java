package dev.vireo.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The signal that makes a vCPU thread leave KVM_RUN. It is blocked in that thread, has no handler,
 * and is let in only while KVM_RUN waits (KVM_SET_SIGNAL_MASK): sent too early it stays pending, so
 * no kick is lost. The thread takes it off its queue afterwards.
 */
public final class Signals {
  /** SIGRTMIN as glibc counts; the JVM uses no real-time signal. */
  public static final int KICK = 34;

  private static final int SIG_BLOCK = 0;
  private static final int SIGSET_BYTES = 128;
  private static final MemorySegment KICK_SET = setOf(KICK);
  private static final MemorySegment NO_WAIT = Arena.global().allocate(16, 8);

  private Signals() {}

  /** Blocks {@link #KICK} in the calling thread. */
  public static void blockKick() {
    Linux.checkNumber(
        Linux.libc().pthread_sigmask(SIG_BLOCK, KICK_SET.address(), 0), "pthread_sigmask");
  }

  /** Takes all pending kicks of the calling thread off its queue. */
  public static void consumeKicks() {
    while (Linux.libc().sigtimedwait(KICK_SET.address(), 0, NO_WAIT.address()) == KICK) {
      // Real-time signals queue one by one.
    }
  }

  /**
   * Sends {@link #KICK} to a thread of this process.
   *
   * @param threadId from {@link #currentThreadId} in that thread
   */
  public static void kick(int threadId) {
    int result = Linux.libc().tgkill(Linux.libc().getpid(), threadId, KICK);
    // EAGAIN: the queue is full of kicks already. ESRCH: the thread has ended.
    if (result == -1 && Linux.errno() != Errno.EAGAIN && Linux.errno() != Errno.ESRCH) {
      throw new LinuxException("tgkill", Linux.errno());
    }
  }

  /** {@code gettid(2)}. */
  public static int currentThreadId() {
    return Linux.libc().gettid();
  }

  /**
   * The signals that stay blocked inside KVM_RUN, as the kernel's 64-bit set: this thread's mask
   * without {@link #KICK}.
   */
  public static long maskInsideKvmRun() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment current = arena.allocate(SIGSET_BYTES, 8);
      Linux.checkNumber(
          Linux.libc().pthread_sigmask(SIG_BLOCK, 0, current.address()), "pthread_sigmask");
      return current.get(ValueLayout.JAVA_LONG, 0) & ~bit(KICK);
    }
  }

  private static MemorySegment setOf(int signal) {
    MemorySegment set = Arena.global().allocate(SIGSET_BYTES, 8);
    set.set(ValueLayout.JAVA_LONG, 0, bit(signal));
    return set;
  }

  private static long bit(int signal) {
    return 1L << (signal - 1);
  }
}
