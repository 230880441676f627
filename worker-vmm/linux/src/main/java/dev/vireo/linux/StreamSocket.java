package dev.vireo.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * System calls on unix stream sockets that carry bytes without frames. Nothing waits and nothing is
 * allocated, whatever mode the socket is in, and results are counts or negative error numbers: what
 * a peer does is no exception. Made once and used for any number of sockets, by one thread at a
 * time.
 */
public final class StreamSocket {
  /** Nothing more will come: the peer has closed or shut down its end. */
  public static final int END = 0;

  /** {@code shutdown(2)}: receive no more, send no more. */
  public static final int SHUT_RECEIVING = 0;

  public static final int SHUT_SENDING = 1;

  private static final int AF_UNIX = 1;
  private static final int SOCK_STREAM = 1;
  private static final int SOCK_NONBLOCK = 04000;
  private static final int SOCK_CLOEXEC = 02000000;
  private static final int MSG_PEEK = 0x2;
  private static final int MSG_DONTWAIT = 0x40;
  private static final int MSG_NOSIGNAL = 0x4000;

  /** struct msghdr, 64 bit: name, namelen, iov, iovlen, control, controllen, flags. */
  private static final int MSGHDR_BYTES = 56;

  private static final int MSG_IOV = 16;
  private static final int MSG_IOVLEN = 24;

  private final Libc libc;
  private final MemorySegment header = Arena.ofAuto().allocate(MSGHDR_BYTES, 8);

  public StreamSocket() {
    this(Linux.libc());
  }

  /** With the system calls made by {@code libc}. */
  public StreamSocket(Libc libc) {
    this.libc = libc;
  }

  /**
   * A connection to whoever listens at {@code path}, if that can be had at once.
   *
   * @param path may be longer than {@code sun_path}
   * @return non-blocking
   * @throws LinuxException ENOENT or ECONNREFUSED if nobody listens, EAGAIN if more connections
   *     wait there already than the listener lets wait
   */
  public static Fd connect(String path) {
    Fd fd =
        Fd.owning(
            Linux.check(
                Linux.libc().socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
                "socket"));
    try (Arena arena = Arena.ofConfined();
        UnixAddress address = UnixAddress.of(path, arena)) {
      Linux.check(
          Linux.libc().connect(fd.number(), address.address(), address.length()),
          "connect " + path);
      return fd;
    } catch (RuntimeException e) {
      fd.close();
      throw e;
    }
  }

  /**
   * Takes a connection that waits.
   *
   * @param listener non-blocking
   * @return its descriptor's number, or a negative error number: EAGAIN if none waits
   */
  public int accept(Fd listener) {
    int number;
    do {
      number = libc.accept4(listener.number(), 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK);
    } while (number == -1 && isPassing(Linux.errno()));
    return number == -1 ? -Linux.errno() : number;
  }

  /** ECONNABORTED: this peer gave up, the next may not. */
  private static boolean isPassing(int errno) {
    return errno == Errno.EINTR || errno == Errno.ECONNABORTED;
  }

  /**
   * {@code recvmsg(2)}.
   *
   * @param vectors address of an array of {@code struct iovec}
   * @return bytes received, {@link #END}, or a negative error number: EAGAIN if there are none yet
   */
  public long receive(Fd socket, long vectors, int count) {
    return receive(socket, vectors, count, MSG_DONTWAIT);
  }

  /** As {@link #receive(Fd, long, int)}, but the bytes stay to be received again. */
  public long peek(Fd socket, long vectors, int count) {
    return receive(socket, vectors, count, MSG_DONTWAIT | MSG_PEEK);
  }

  private long receive(Fd socket, long vectors, int count, int flags) {
    setVectors(vectors, count);
    long received;
    do {
      received = libc.recvmsg(socket.number(), header.address(), flags);
    } while (received == -1 && Linux.errno() == Errno.EINTR);
    return received == -1 ? -Linux.errno() : received;
  }

  /**
   * {@code sendmsg(2)}.
   *
   * @param vectors address of an array of {@code struct iovec}
   * @return bytes sent, which may be fewer than given, or a negative error number: EAGAIN if there
   *     is no room for any, EPIPE or ECONNRESET if the peer receives no more
   */
  public long send(Fd socket, long vectors, int count) {
    setVectors(vectors, count);
    long sent;
    do {
      sent = libc.sendmsg(socket.number(), header.address(), MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent == -1 && Linux.errno() == Errno.EINTR);
    return sent == -1 ? -Linux.errno() : sent;
  }

  private void setVectors(long vectors, int count) {
    header.set(ValueLayout.JAVA_LONG, MSG_IOV, vectors);
    header.set(ValueLayout.JAVA_LONG, MSG_IOVLEN, count);
  }

  /**
   * Tells the peer, who finds the end of what we send, or can send no more.
   *
   * @param how {@link #SHUT_RECEIVING} or {@link #SHUT_SENDING}
   */
  public void shutdown(Fd socket, int how) {
    // ENOTCONN: the peer was quicker.
    int ignored = libc.shutdown(socket.number(), how);
  }
}
