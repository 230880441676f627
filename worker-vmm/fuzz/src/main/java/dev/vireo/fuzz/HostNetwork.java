package dev.vireo.fuzz;

import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.Libc;
import dev.vireo.linux.Linux;
import dev.vireo.linux.LinuxException;
import dev.vireo.vmm.backend.Tap;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * A tap interface in memory with two queues, each a pair of sockets that keep messages apart as a
 * tap keeps frames, and what the host does to it: frames come, nobody takes what the guest sends,
 * the link goes down and up, the interface is deleted.
 */
final class HostNetwork implements AutoCloseable {
  static final int QUEUES = 2;

  private static final int AF_UNIX = 1;
  private static final int SOCK_SEQPACKET = 5;
  private static final int SOCK_NONBLOCK_CLOEXEC = 04000 | 02000000;
  private static final int TUNGETIFF = 0x800454d2;
  private static final int TUNSETQUEUE = 0x400454d9;
  private static final int IFREQ_BYTES = 40;
  private static final int IFREQ_FLAGS = 16;
  private static final short IFF_ATTACH_QUEUE = 0x0200;

  private static final int LARGEST_BYTES = Tap.HEADER_BYTES + 18 + 65_535;
  private static final long A_WHILE_NANOS = 250_000_000;

  /** One queue: its two ends. */
  private final class Queue {
    final Fd host;
    final Fd device;
    final Tap tap;
    volatile boolean attached = true;

    Queue(Libc real) {
      MemorySegment pair = Arena.ofAuto().allocate(8, 4);
      int type = SOCK_SEQPACKET | SOCK_NONBLOCK_CLOEXEC;
      Linux.check(real.socketpair(AF_UNIX, type, 0, pair.address()), "socketpair");
      host = Fd.owning(pair.get(ValueLayout.JAVA_INT, 0));
      device = Fd.owning(pair.get(ValueLayout.JAVA_INT, 4));
      tap = new Tap(libcOf(this, real), device.duplicate());
    }
  }

  private final Host host;
  private final List<Queue> queues;
  private final AtomicLong nanoTime = new AtomicLong();
  private final MemorySegment buffer = Arena.ofAuto().allocate(LARGEST_BYTES, 8);
  private volatile boolean down;
  private volatile boolean deleted;

  HostNetwork(Host host) {
    this.host = host;
    Libc real = Linux.libc();
    this.queues = List.of(new Queue(real), new Queue(real));
  }

  List<Tap> taps() {
    return queues.stream().map(queue -> queue.tap).toList();
  }

  /** Stands still unless {@link #happen} moves it. */
  long nanoTime() {
    return nanoTime.get();
  }

  /** There is no interface any more. */
  boolean isDeleted() {
    return deleted;
  }

  // The kernel's side of it

  private Libc libcOf(Queue queue, Libc real) {
    return (Libc)
        Proxy.newProxyInstance(
            Libc.class.getClassLoader(),
            new Class<?>[] {Libc.class},
            (proxy, method, arguments) -> {
              Object result =
                  switch (method.getName()) {
                    case "ioctl" -> ioctl(queue, (long) arguments[1], (long) arguments[2]);
                    case "read" -> readError(queue, null);
                    case "readv" -> readError(queue, host.nextFault());
                    case "writev" -> writeError(host.nextFault());
                    default -> null;
                  };
              try {
                return result != null ? result : method.invoke(real, arguments);
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }

  private Object ioctl(Queue queue, long request, long argument) {
    if (deleted) {
      return Linux.fail(Errno.EBADFD);
    }
    if ((int) request == TUNGETIFF) {
      MemorySegment.ofAddress(argument).reinterpret(IFREQ_BYTES).setString(0, "fuzz0");
    } else if ((int) request == TUNSETQUEUE) {
      MemorySegment ifreq = MemorySegment.ofAddress(argument).reinterpret(IFREQ_BYTES);
      queue.attached = ifreq.get(ValueLayout.JAVA_SHORT, IFREQ_FLAGS) == IFF_ATTACH_QUEUE;
    }
    return 0;
  }

  private @Nullable Object readError(Queue queue, Host.@Nullable Fault fault) {
    if (!deleted && fault == Host.Fault.END_OF_FILE) {
      delete();
    }
    if (deleted) {
      return fail(Errno.EBADFD);
    }
    if (!queue.attached) {
      return fail(Errno.EAGAIN);
    }
    return fault == null
        ? null
        : switch (fault) {
          case BAD_DESCRIPTOR -> fail(Errno.EFAULT);
          case NO_SPACE -> fail(Errno.EINVAL);
          case SHORT -> fail(Errno.EAGAIN);
          case END_OF_FILE, HELD -> null;
        };
  }

  private @Nullable Object writeError(Host.@Nullable Fault fault) {
    if (!deleted && fault == Host.Fault.END_OF_FILE) {
      delete();
    }
    if (deleted) {
      return fail(Errno.EBADFD);
    }
    if (down) {
      return fail(Errno.EIO);
    }
    return fault == null
        ? null
        : switch (fault) {
          case BAD_DESCRIPTOR -> fail(Errno.EFAULT);
          case NO_SPACE -> fail(Errno.EAGAIN);
          case SHORT -> fail(Errno.EINVAL);
          case END_OF_FILE, HELD -> null;
        };
  }

  private static Object fail(int errno) {
    return (long) Linux.fail(errno);
  }

  // The host's side of it

  /**
   * @param value low four bits: what; the fifth: on which queue; the others: how much
   */
  void happen(int value) {
    if (deleted) {
      return;
    }
    Queue queue = queues.get(value >>> 4 & 1);
    int length = Tap.HEADER_BYTES + 1 + (value >>> 8 & 0xffff);
    switch (value & 0xf) {
      case 8 -> {
        for (int i = 0; i < 5; i++) {
          frame(queue, length >>> i, 0);
        }
      }
      case 9 -> goDown();
      case 10 -> goUp();
      case 11 -> nanoTime.addAndGet(A_WHILE_NANOS);
      case 12 -> queues.forEach(each -> drain(each.host));
      case 13 -> delete();
      case 14 -> frame(queue, length, value);
      case 15 -> frame(queue, LARGEST_BYTES, 0);
      default -> frame(queue, length, 0);
    }
  }

  /** A frame after a header that begins with {@code header}; none if the queue is full. */
  private void frame(Queue queue, int length, int header) {
    MemorySegment frame =
        buffer.asSlice(0, Math.clamp(length, Tap.HEADER_BYTES + 1, LARGEST_BYTES));
    frame.asSlice(Tap.HEADER_BYTES).fill((byte) length);
    frame.asSlice(0, Tap.HEADER_BYTES).fill((byte) 0);
    frame.set(ValueLayout.JAVA_INT, 0, header);
    boolean ignored = offer(queue.host, frame);
  }

  private static boolean offer(Fd end, MemorySegment message) {
    try {
      return end.write(message) > 0;
    } catch (LinuxException e) {
      // Full; or the other end was closed, with something unread or without.
      if (List.of(Errno.EAGAIN, Errno.EPIPE, Errno.ECONNRESET).contains(e.errno())) {
        return false;
      }
      throw e;
    }
  }

  private void drain(Fd end) {
    try {
      while (end.read(buffer) > 0) {}
    } catch (LinuxException e) {
      if (e.errno() != Errno.EAGAIN && e.errno() != Errno.ECONNRESET) {
        throw e;
      }
    }
  }

  /** A tap can be written to while its interface is up; this can be while it is not full. */
  private void goDown() {
    down = true;
    while (offer(queues.getFirst().device, buffer.asSlice(0, 1))) {}
  }

  private void goUp() {
    down = false;
    queues.forEach(queue -> drain(queue.host));
  }

  /** For good. Who waits for a frame wakes with an error. */
  private synchronized void delete() {
    deleted = true;
    queues.forEach(queue -> queue.host.close());
  }

  /** As at first, but for what is deleted. */
  void restore() {
    if (!deleted) {
      goUp();
      queues.forEach(queue -> drain(queue.device));
    }
  }

  @Override
  public void close() {
    for (Queue queue : queues) {
      queue.host.close();
      queue.device.close();
    }
  }
}
