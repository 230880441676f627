package dev.vireo.linux;

import java.lang.foreign.Arena;

/**
 * An {@code eventfd(2)}: a counter that wakes whoever reads or polls it. KVM writes to it for a
 * guest's notification (ioeventfd) and reads it to raise an interrupt (irqfd).
 */
public final class EventFd implements AutoCloseable {
  private static final int EFD_NONBLOCK = 04000;
  private static final int EFD_CLOEXEC = 02000000;

  /** Where counts go that nobody looks at. */
  private static final long COUNT_SINK = Arena.global().allocate(8, 8).address();

  private final Fd fd;

  private EventFd(Fd fd) {
    this.fd = fd;
  }

  /** With a non-blocking {@link #drain}; to wait for it, poll it or make it blocking. */
  public static EventFd nonBlocking() {
    return create(EFD_NONBLOCK);
  }

  /** {@link #drain} waits for a signal. */
  public static EventFd blocking() {
    return create(0);
  }

  private static EventFd create(int flags) {
    return new EventFd(
        Fd.owning(Linux.check(Linux.libc().eventfd(0, flags | EFD_CLOEXEC), "eventfd")));
  }

  /** Adds one. Never blocks in practice: the counter holds 2^64 − 2. */
  public void signal() {
    while (Linux.libc().eventfd_write(fd.number(), 1) == -1) {
      int errno = Linux.errno();
      if (errno == Errno.EAGAIN) {
        return;
      }
      if (errno != Errno.EINTR) {
        throw new LinuxException("eventfd write", errno);
      }
    }
  }

  /**
   * Takes all signals at once. Waits for one if this eventfd is blocking.
   *
   * @return whether there was one
   */
  public boolean drain() {
    while (Linux.libc().eventfd_read(fd.number(), COUNT_SINK) == -1) {
      int errno = Linux.errno();
      if (errno == Errno.EAGAIN) {
        return false;
      }
      if (errno != Errno.EINTR) {
        throw new LinuxException("eventfd read", errno);
      }
    }
    return true;
  }

  /** The descriptor, which stays this object's. */
  public Fd fd() {
    return fd;
  }

  /** Closes it. Whoever waits in {@link #drain} is not woken: signal first. */
  @Override
  public void close() {
    fd.close();
  }
}
