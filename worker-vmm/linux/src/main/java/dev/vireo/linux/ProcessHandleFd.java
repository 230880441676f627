package dev.vireo.linux;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A process by {@code pidfd_open(2)}: signals and waits reach this very process or nobody, never a
 * later one with its number. Its pid and start time together name it across a restart of ours.
 */
public final class ProcessHandleFd implements AutoCloseable {
  public static final int SIGTERM = 15;
  public static final int SIGKILL = 9;

  private static final int SYS_PIDFD_SEND_SIGNAL = 424;
  private static final int SYS_PIDFD_OPEN = 434;
  private static final int P_PID = 1;
  private static final int P_PIDFD = 3;
  private static final int WEXITED = 4;
  private static final int CLD_EXITED = 1;
  private static final int SIGINFO_BYTES = 128;
  private static final int SI_CODE = 8;
  private static final int SI_STATUS = 24;
  private static final int START_TIME_FIELD = 22;
  private static final int POLLIN = 1;

  /** How a process ended. */
  public sealed interface Exit {
    /** It called exit with this status, 0 to 255. */
    record Status(int status) implements Exit {}

    /** A signal ended it. */
    record Signal(int signal) implements Exit {}

    /** It has ended, but was not our child: only its parent learns how. */
    record Unknown() implements Exit {}
  }

  private final int pid;
  private final long startTimeTicks;
  private final Fd fd;
  private @Nullable Exit reaped;

  private ProcessHandleFd(int pid, long startTimeTicks, Fd fd) {
    this.pid = pid;
    this.startTimeTicks = startTimeTicks;
    this.fd = fd;
  }

  /** The process that has this number now, unless there is none or it has ended. */
  public static Optional<ProcessHandleFd> open(int pid) {
    if (pid <= 0) {
      return Optional.empty();
    }
    long pidFd = Linux.libc().syscall(SYS_PIDFD_OPEN, pid, 0, 0, 0, 0);
    if (pidFd == -1 && Linux.errno() == Errno.ESRCH) {
      return Optional.empty();
    }
    Fd fd = Fd.owning((int) Linux.check(pidFd, "pidfd_open"));
    Optional<ProcessHandleFd> process =
        startTimeTicks(pid).map(startTime -> new ProcessHandleFd(pid, startTime, fd));
    // Alive still: so the start time just read was this process's, not a successor's.
    if (process.isPresent() && !process.get().hasExited()) {
      return process;
    }
    fd.close();
    return Optional.empty();
  }

  /** The process that had this number and this start time, if it is alive still. */
  public static Optional<ProcessHandleFd> open(int pid, long startTimeTicks) {
    Optional<ProcessHandleFd> process = open(pid);
    if (process.isPresent() && process.get().startTimeTicks != startTimeTicks) {
      process.get().close();
      return Optional.empty();
    }
    return process;
  }

  /**
   * A child that nobody else reaps: its number cannot be another's, even if it has ended.
   *
   * @throws LinuxException if there is no descriptor for it; it is killed and reaped then
   */
  static ProcessHandleFd ofChild(Libc libc, int pid) {
    long pidFd = libc.syscall(SYS_PIDFD_OPEN, pid, 0, 0, 0, 0);
    if (pidFd == -1) {
      int errno = Linux.errno();
      end(libc, pid);
      throw new LinuxException("pidfd_open", errno);
    }
    return new ProcessHandleFd(pid, startTimeTicks(pid).orElse(0L), Fd.owning((int) pidFd));
  }

  private static void end(Libc libc, int pid) {
    int ignored = libc.kill(pid, SIGKILL);
    try (Arena arena = Arena.ofConfined()) {
      long info = arena.allocate(SIGINFO_BYTES, 8).address();
      while (libc.waitid(P_PID, pid, info, WEXITED) == -1 && Linux.errno() == Errno.EINTR) {
        // Once more.
      }
    }
  }

  /** Field 22 of {@code /proc/<pid>/stat} ({@code proc(5)}). */
  private static Optional<Long> startTimeTicks(int pid) {
    try {
      String stat =
          Files.readString(Path.of("/proc/" + pid + "/stat"), StandardCharsets.ISO_8859_1);
      // The second field is the command in parentheses, which may hold anything.
      String[] fromThird = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
      return Optional.of(Long.parseLong(fromThird[START_TIME_FIELD - 3]));
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  public int pid() {
    return pid;
  }

  /** Clock ticks from boot to the process's start. */
  public long startTimeTicks() {
    return startTimeTicks;
  }

  /**
   * Sends a signal.
   *
   * @return false if the process has ended
   */
  public boolean signal(int signal) {
    long result = Linux.libc().syscall(SYS_PIDFD_SEND_SIGNAL, fd.number(), signal, 0, 0, 0);
    if (result == -1 && Linux.errno() == Errno.ESRCH) {
      return false;
    }
    Linux.check(result, "pidfd_send_signal");
    return true;
  }

  /** Whether it has ended, reaped or not. */
  public boolean hasExited() {
    return poll(0);
  }

  /**
   * Waits for its end, and reaps it if it is our child.
   *
   * @return empty after the time-out
   */
  public Optional<Exit> awaitExit(Duration timeout) {
    long deadline = System.nanoTime() + timeout.toNanos();
    while (true) {
      long leftMillis = (deadline - System.nanoTime() + 999_999) / 1_000_000;
      if (poll(Math.clamp(leftMillis, 0, Integer.MAX_VALUE))) {
        return Optional.of(reap());
      }
      if (leftMillis <= 0) {
        return Optional.empty();
      }
    }
  }

  private synchronized Exit reap() {
    if (reaped == null) {
      reaped = waitid();
    }
    return reaped;
  }

  private Exit waitid() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment info = arena.allocate(SIGINFO_BYTES, 8);
      int result;
      do {
        result = Linux.libc().waitid(P_PIDFD, fd.number(), info.address(), WEXITED);
      } while (result == -1 && Linux.errno() == Errno.EINTR);
      if (result == -1 && Linux.errno() == Errno.ECHILD) {
        return new Exit.Unknown();
      }
      Linux.check(result, "waitid");
      int status = info.get(ValueLayout.JAVA_INT, SI_STATUS);
      return info.get(ValueLayout.JAVA_INT, SI_CODE) == CLD_EXITED
          ? new Exit.Status(status)
          : new Exit.Signal(status);
    }
  }

  /** A pidfd is readable once its process has ended. */
  private boolean poll(int timeoutMillis) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pollFd = arena.allocate(8, 4);
      pollFd.set(ValueLayout.JAVA_INT, 0, fd.number());
      pollFd.set(ValueLayout.JAVA_SHORT, 4, (short) POLLIN);
      int ready = Linux.libc().poll(pollFd.address(), 1, timeoutMillis);
      if (ready == -1 && Linux.errno() == Errno.EINTR) {
        return false;
      }
      return Linux.check(ready, "poll") == 1;
    }
  }

  /** The pidfd, for a {@link Poller}. Stays this object's. */
  public Fd fd() {
    return fd;
  }

  /** Closes the pidfd; the process goes on. */
  @Override
  public void close() {
    fd.close();
  }
}
