package dev.vireo.vmm.backend;

import com.kenai.jffi.LastError;
import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.Linux;
import dev.vireo.linux.LinuxException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * A queue of a tap interface in memory, and the host behind it: a pair of sockets that keep
 * messages apart, as a tap keeps frames, and a kernel that does what a test says.
 */
public final class FakeTap implements AutoCloseable {
  private static final int AF_UNIX = 1;
  private static final int SOCK_SEQPACKET = 5;
  private static final int SOCK_NONBLOCK_CLOEXEC = 04000 | 02000000;
  private static final int LARGEST = 1 << 17;

  private static final int TUNGETIFF = 0x800454d2;
  private static final int TUNSETOFFLOAD = 0x400454d0;
  private static final int TUNSETVNETHDRSZ = 0x400454d8;
  private static final int TUNSETQUEUE = 0x400454d9;

  /** What the interface makes of a frame: 0, or an error number. */
  public final AtomicInteger writeError = new AtomicInteger();

  /** As {@link Tap#setOffloads} set them; −1 before that. */
  public final AtomicInteger offloads = new AtomicInteger(-1);

  private final MemorySegment buffer = Arena.ofAuto().allocate(LARGEST, 8);
  private final Fd host;
  private final Tap tap;
  private volatile boolean attached = true;
  private volatile boolean deleted;

  public FakeTap() {
    MemorySegment pair = Arena.ofAuto().allocate(8, 4);
    int type = SOCK_SEQPACKET | SOCK_NONBLOCK_CLOEXEC;
    Linux.check(Linux.libc().socketpair(AF_UNIX, type, 0, pair.address()), "socketpair");
    this.host = Fd.owning(pair.get(ValueLayout.JAVA_INT, 0));
    Fd device = Fd.owning(pair.get(ValueLayout.JAVA_INT, 4));
    this.tap = new Tap(new FakeLibc(this::replaced).libc(), device);
  }

  /** The device's side, which the device closes. */
  public Tap tap() {
    return tap;
  }

  private @Nullable Object replaced(String function, Object[] arguments) {
    return switch (function) {
      case "ioctl" ->
          deleted ? fail(Errno.EBADFD, -1) : ioctl((long) arguments[1], (long) arguments[2]);
      case "readv", "read" -> {
        int error = deleted ? Errno.EBADFD : attached ? 0 : Errno.EAGAIN;
        yield error == 0 ? null : fail(error, -1L);
      }
      case "writev" -> {
        int error = deleted ? Errno.EBADFD : writeError.get();
        yield error == 0 ? null : fail(error, -1L);
      }
      default -> null;
    };
  }

  private Object ioctl(long request, long argument) {
    switch ((int) request) {
      case TUNSETOFFLOAD -> offloads.set((int) argument);
      case TUNGETIFF -> MemorySegment.ofAddress(argument).reinterpret(40).setString(0, "fake0");
      case TUNSETVNETHDRSZ -> {}
      case TUNSETQUEUE -> {
        MemorySegment ifreq = MemorySegment.ofAddress(argument).reinterpret(40);
        attached = ifreq.get(ValueLayout.JAVA_SHORT, 16) == 0x0200;
      }
      default -> throw new AssertionError("ioctl " + Long.toHexString(request));
    }
    return 0;
  }

  private static Object fail(int errno, Object result) {
    LastError.getInstance().set(errno);
    return result;
  }

  public boolean attached() {
    return attached;
  }

  /** Somebody on the host deletes the interface. */
  public void delete() {
    deleted = true;
    host.close(); // Who waits for a frame wakes with an error.
  }

  /** As the kernel hands it over: a header of virtio, and the frame. */
  public void send(byte[] headerAndFrame) {
    MemorySegment.copy(headerAndFrame, 0, buffer, ValueLayout.JAVA_BYTE, 0, headerAndFrame.length);
    host.write(buffer.asSlice(0, headerAndFrame.length));
  }

  /** Whether there was room for it. */
  public boolean offer(byte[] headerAndFrame) {
    try {
      send(headerAndFrame);
      return true;
    } catch (LinuxException e) {
      if (e.errno() == Errno.EAGAIN) {
        return false;
      }
      throw e;
    }
  }

  /** What the device sent next, with its header; null if it sent nothing more. */
  public byte @Nullable [] poll() {
    try {
      int length = host.read(buffer);
      return Arrays.copyOf(buffer.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE), length);
    } catch (LinuxException e) {
      if (e.errno() == Errno.EAGAIN) {
        return null;
      }
      throw e;
    }
  }

  /** The host's side. */
  @Override
  public void close() {
    host.close();
  }
}
