package dev.vireo.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A connected unix stream socket that carries messages: each is its length as a varint, then its
 * bytes (protobuf's delimited form). Descriptors ride as {@code SCM_RIGHTS} with the first byte of
 * their message ({@code unix(7)}, {@code cmsg(3)}).
 *
 * <p>One thread may receive while others send; messages of several senders do not mix.
 */
public final class MessageSocket implements AutoCloseable {
  /** Bytes of the longest message; a longer one is a broken peer. */
  public static final int MAX_MESSAGE_BYTES = 4 << 20;

  /** Descriptors that one message carries at most (the kernel's SCM_MAX_FD). */
  public static final int MAX_DESCRIPTORS = 253;

  /** What arrived. The receiver owns the descriptors. */
  public static final class Message implements AutoCloseable {
    private final byte[] bytes;
    private final List<Fd> descriptors;

    Message(byte[] bytes, List<Fd> descriptors) {
      this.bytes = bytes;
      this.descriptors = List.copyOf(descriptors);
    }

    /** The message without its length; not a copy. */
    public byte[] bytes() {
      return bytes;
    }

    /** In the order in which they were sent. */
    public List<Fd> descriptors() {
      return descriptors;
    }

    /** Closes the descriptors that nobody took over. */
    @Override
    public void close() {
      for (Fd descriptor : descriptors) {
        descriptor.close();
      }
    }
  }

  /** The peer does not speak this framing, or the connection ended in the middle of a message. */
  public static final class BrokenFrameException extends RuntimeException {
    private static final long serialVersionUID = 1;

    BrokenFrameException(String message) {
      super(message);
    }
  }

  private static final int AF_UNIX = 1;
  private static final int SOCK_STREAM_CLOEXEC = 1 | 02000000;
  private static final int SHUT_RDWR = 2;
  private static final int SOL_SOCKET = 1;
  private static final int SCM_RIGHTS = 1;
  private static final int MSG_CTRUNC = 0x8;
  private static final int MSG_NOSIGNAL = 0x4000;
  private static final int MSG_CMSG_CLOEXEC = 0x40000000;

  /** struct msghdr, 64 bit: name, namelen, iov, iovlen, control, controllen, flags. */
  private static final int MSGHDR_BYTES = 56;

  private static final int MSG_IOV = 16;
  private static final int MSG_IOVLEN = 24;
  private static final int MSG_CONTROL = 32;
  private static final int MSG_CONTROLLEN = 40;
  private static final int MSG_FLAGS = 48;

  /** struct cmsghdr, 64 bit: len, level, type, data. */
  private static final int CMSG_LEVEL = 8;

  private static final int CMSG_TYPE = 12;
  private static final int CMSG_DATA = 16;

  private static final int MAX_VARINT_BYTES = 5;

  private final Fd fd;
  private final Object receiving = new Object();
  private final Object sending = new Object();

  /** Takes ownership of a connected stream socket. */
  public MessageSocket(Fd fd) {
    this.fd = fd;
  }

  /** Two ends that are connected to each other. */
  public static List<MessageSocket> pair() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pair = arena.allocate(8, 4);
      Linux.check(
          Linux.libc().socketpair(AF_UNIX, SOCK_STREAM_CLOEXEC, 0, pair.address()), "socketpair");
      return List.of(
          new MessageSocket(Fd.owning(pair.get(ValueLayout.JAVA_INT, 0))),
          new MessageSocket(Fd.owning(pair.get(ValueLayout.JAVA_INT, 4))));
    }
  }

  /**
   * Connects to a listening unix socket, whose path may be longer than {@code sun_path}.
   *
   * @throws LinuxException ECONNREFUSED if nobody listens any more, ENOENT if there is no such file
   */
  public static MessageSocket connect(String path) {
    Fd fd = UnixListener.streamSocket();
    try (Arena arena = Arena.ofConfined();
        UnixAddress address = UnixAddress.of(path, arena)) {
      int result;
      do {
        result = Linux.libc().connect(fd.number(), address.address(), address.length());
      } while (result == -1 && Linux.errno() == Errno.EINTR);
      Linux.check(result, "connect " + path);
      return new MessageSocket(fd);
    } catch (RuntimeException e) {
      fd.close();
      throw e;
    }
  }

  /** Sends a message without descriptors. */
  public void send(byte[] message) {
    send(message, List.of());
  }

  /**
   * Sends a message. The descriptors stay the caller's: the receiver gets duplicates.
   *
   * @throws LinuxException EPIPE or ECONNRESET if the peer is gone
   */
  public void send(byte[] message, List<Fd> descriptors) {
    if (message.length > MAX_MESSAGE_BYTES) {
      throw new IllegalArgumentException("message of " + message.length + " bytes");
    }
    if (descriptors.size() > MAX_DESCRIPTORS) {
      throw new IllegalArgumentException(descriptors.size() + " descriptors");
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment frame = arena.allocate(MAX_VARINT_BYTES + (long) message.length, 1);
      int header = putVarint(frame, message.length);
      MemorySegment.copy(MemorySegment.ofArray(message), 0, frame, header, message.length);
      MemorySegment header0 = messageHeader(arena, controlOf(arena, descriptors));
      long total = header + (long) message.length;
      synchronized (sending) {
        long sent = 0;
        while (sent < total) {
          setVector(header0, frame.asSlice(sent, total - sent));
          sent += sendSome(header0);
          // They went with the first byte.
          header0.set(ValueLayout.JAVA_LONG, MSG_CONTROL, 0);
          header0.set(ValueLayout.JAVA_LONG, MSG_CONTROLLEN, 0);
        }
      }
    }
  }

  private long sendSome(MemorySegment header) {
    long count;
    do {
      count = Linux.libc().sendmsg(fd.number(), header.address(), MSG_NOSIGNAL);
    } while (count == -1 && Linux.errno() == Errno.EINTR);
    return Linux.check(count, "sendmsg");
  }

  /**
   * Waits for a message.
   *
   * @return null when the peer has closed its end between two messages
   * @throws BrokenFrameException if what arrives is not a message
   * @throws LinuxException if the socket fails
   */
  public @Nullable Message receive() {
    synchronized (receiving) {
      List<Fd> descriptors = new ArrayList<>();
      try (Arena arena = Arena.ofConfined()) {
        int length = receiveLength(arena, descriptors);
        if (length < 0) {
          return null;
        }
        MemorySegment body = arena.allocate(Math.max(length, 1), 1);
        long received = 0;
        while (received < length) {
          int count = fd.read(body.asSlice(received, length - received));
          if (count == 0) {
            throw new BrokenFrameException("connection ended within a message");
          }
          received += count;
        }
        byte[] bytes = new byte[length];
        MemorySegment.copy(body, 0, MemorySegment.ofArray(bytes), 0, length);
        return new Message(bytes, descriptors);
      } catch (RuntimeException | Error e) {
        for (Fd descriptor : descriptors) {
          descriptor.close();
        }
        throw e;
      }
    }
  }

  /** The varint, byte by byte: only so is it certain which message the descriptors came with. */
  private int receiveLength(Arena arena, List<Fd> descriptors) {
    MemorySegment control = arena.allocate(CMSG_DATA + 4L * MAX_DESCRIPTORS, 8);
    MemorySegment header = messageHeader(arena, control);
    MemorySegment octet = arena.allocate(1, 1);
    setVector(header, octet);
    int length = 0;
    for (int shift = 0; shift < 7 * MAX_VARINT_BYTES; shift += 7) {
      header.set(ValueLayout.JAVA_LONG, MSG_CONTROLLEN, control.byteSize());
      if (!receiveOctet(header, control, descriptors)) {
        if (shift == 0) {
          return -1;
        }
        throw new BrokenFrameException("connection ended within a length");
      }
      int value = octet.get(ValueLayout.JAVA_BYTE, 0);
      length |= (value & 0x7f) << shift;
      if (value >= 0) {
        if (length < 0 || length > MAX_MESSAGE_BYTES) {
          throw new BrokenFrameException("message length out of range");
        }
        return length;
      }
    }
    throw new BrokenFrameException("length of more than five bytes");
  }

  private boolean receiveOctet(MemorySegment header, MemorySegment control, List<Fd> descriptors) {
    long count;
    do {
      count = Linux.libc().recvmsg(fd.number(), header.address(), MSG_CMSG_CLOEXEC);
    } while (count == -1 && Linux.errno() == Errno.EINTR);
    if (count == -1 && Linux.errno() == Errno.ECONNRESET) {
      return false;
    }
    Linux.check(count, "recvmsg");
    takeDescriptors(control, header.get(ValueLayout.JAVA_LONG, MSG_CONTROLLEN), descriptors);
    if ((header.get(ValueLayout.JAVA_INT, MSG_FLAGS) & MSG_CTRUNC) != 0) {
      throw new BrokenFrameException("descriptors were lost");
    }
    return count == 1;
  }

  private static void takeDescriptors(MemorySegment control, long bytes, List<Fd> descriptors) {
    if (bytes < CMSG_DATA
        || control.get(ValueLayout.JAVA_INT, CMSG_LEVEL) != SOL_SOCKET
        || control.get(ValueLayout.JAVA_INT, CMSG_TYPE) != SCM_RIGHTS) {
      return;
    }
    long end = control.get(ValueLayout.JAVA_LONG, 0);
    for (long at = CMSG_DATA; at + 4 <= end; at += 4) {
      descriptors.add(Fd.owning(control.get(ValueLayout.JAVA_INT, at)));
    }
  }

  private static MemorySegment messageHeader(Arena arena, @Nullable MemorySegment control) {
    MemorySegment header = arena.allocate(MSGHDR_BYTES, 8);
    MemorySegment vector = arena.allocate(16, 8);
    header.set(ValueLayout.JAVA_LONG, MSG_IOV, vector.address());
    header.set(ValueLayout.JAVA_LONG, MSG_IOVLEN, 1);
    if (control != null) {
      header.set(ValueLayout.JAVA_LONG, MSG_CONTROL, control.address());
      header.set(ValueLayout.JAVA_LONG, MSG_CONTROLLEN, control.byteSize());
    }
    return header;
  }

  private static void setVector(MemorySegment header, MemorySegment buffer) {
    MemorySegment vector =
        MemorySegment.ofAddress(header.get(ValueLayout.JAVA_LONG, MSG_IOV)).reinterpret(16);
    vector.set(ValueLayout.JAVA_LONG, 0, buffer.address());
    vector.set(ValueLayout.JAVA_LONG, 8, buffer.byteSize());
  }

  private static @Nullable MemorySegment controlOf(Arena arena, List<Fd> descriptors) {
    if (descriptors.isEmpty()) {
      return null;
    }
    long length = CMSG_DATA + 4L * descriptors.size();
    MemorySegment control = arena.allocate((length + 7) & ~7L, 8);
    control.set(ValueLayout.JAVA_LONG, 0, length);
    control.set(ValueLayout.JAVA_INT, CMSG_LEVEL, SOL_SOCKET);
    control.set(ValueLayout.JAVA_INT, CMSG_TYPE, SCM_RIGHTS);
    for (int i = 0; i < descriptors.size(); i++) {
      control.set(ValueLayout.JAVA_INT, CMSG_DATA + 4L * i, descriptors.get(i).number());
    }
    return control;
  }

  private static int putVarint(MemorySegment frame, int value) {
    int at = 0;
    int rest = value;
    while (rest > 0x7f) {
      frame.set(ValueLayout.JAVA_BYTE, at++, (byte) (rest | 0x80));
      rest >>>= 7;
    }
    frame.set(ValueLayout.JAVA_BYTE, at++, (byte) rest);
    return at;
  }

  /** The socket, for a {@link Poller}. Stays this object's. */
  public Fd fd() {
    return fd;
  }

  /**
   * Ends the connection for both sides, and wakes a thread that is in {@link #receive} here: it
   * gets null. The descriptor stays open until {@link #close}.
   */
  public void shutdown() {
    // ENOTCONN: the peer was quicker.
    int ignored = Linux.libc().shutdown(fd.number(), SHUT_RDWR);
  }

  @Override
  public void close() {
    fd.close();
  }
}
