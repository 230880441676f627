package dev.vireo.linux;

import java.lang.foreign.Arena;
import org.jspecify.annotations.Nullable;

/** A listening unix stream socket whose connections are {@link MessageSocket}s. */
public final class UnixListener implements AutoCloseable {
  private static final int AF_UNIX = 1;
  private static final int SOCK_STREAM = 1;
  private static final int SOCK_CLOEXEC = 02000000;
  private static final int SHUT_RDWR = 2;

  private final Fd fd;

  /** Takes ownership of a socket that listens already, an inherited one for example. */
  public UnixListener(Fd fd) {
    this.fd = fd;
  }

  /**
   * Makes the socket file and listens. The file is the caller's to remove.
   *
   * @param path may be longer than {@code sun_path}
   * @throws LinuxException EADDRINUSE if the file exists
   */
  public static UnixListener bind(String path, int backlog) {
    Fd fd = streamSocket();
    try (Arena arena = Arena.ofConfined();
        UnixAddress address = UnixAddress.of(path, arena)) {
      Linux.check(
          Linux.libc().bind(fd.number(), address.address(), address.length()), "bind " + path);
      Linux.check(Linux.libc().listen(fd.number(), backlog), "listen " + path);
      return new UnixListener(fd);
    } catch (RuntimeException e) {
      fd.close();
      throw e;
    }
  }

  static Fd streamSocket() {
    return Fd.owning(
        Linux.check(Linux.libc().socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  }

  /**
   * Waits for a connection.
   *
   * @return null after {@link #shutdown}
   */
  public @Nullable MessageSocket accept() {
    while (true) {
      int connection = Linux.libc().accept4(fd.number(), 0, 0, SOCK_CLOEXEC);
      if (connection >= 0) {
        return new MessageSocket(Fd.owning(connection));
      }
      int errno = Linux.errno();
      if (errno == Errno.EINVAL) {
        return null;
      }
      // ECONNABORTED: this peer gave up, the next may not.
      if (errno != Errno.EINTR && errno != Errno.ECONNABORTED) {
        throw new LinuxException("accept4", errno);
      }
    }
  }

  /** Stops listening and wakes a thread that is in {@link #accept}. */
  public void shutdown() {
    Linux.check(Linux.libc().shutdown(fd.number(), SHUT_RDWR), "shutdown");
  }

  /** The socket, to be handed to a process or polled. Stays this object's. */
  public Fd fd() {
    return fd;
  }

  @Override
  public void close() {
    fd.close();
  }
}
