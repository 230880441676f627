package dev.vireo.vmm.backend;

import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.Libc;
import dev.vireo.linux.Linux;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.PollSet;
import dev.vireo.vmm.memory.IoVector;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * One queue of a tap interface of the host ({@code linux/if_tun.h}): frames as they are on the
 * wire, each after a {@code struct virtio_net_hdr_v1} of {@value #HEADER_BYTES} bytes that says
 * what is left to do for it, checksum or segmentation. Frames go straight between the kernel and
 * guest memory. Never waits. Results of transfers are error numbers, not exceptions: what a guest
 * sends may be anything.
 */
public final class Tap implements AutoCloseable {
  /** What precedes each frame. The kernel fills or heeds all but its last two bytes. */
  public static final int HEADER_BYTES = 12;

  /** What the reader of frames can take ({@code TUN_F_*}): checksums that are not computed. */
  public static final int OFFLOAD_CHECKSUM = 0x01;

  /** TCP on IPv4 in segments larger than the MTU. */
  public static final int OFFLOAD_TSO4 = 0x02;

  /** TCP on IPv6 in segments larger than the MTU. */
  public static final int OFFLOAD_TSO6 = 0x04;

  /** Such segments with congestion notification. */
  public static final int OFFLOAD_TSO_ECN = 0x08;

  /** UDP datagrams larger than the MTU. */
  public static final int OFFLOAD_UFO = 0x10;

  private static final int TUNGETIFF = 0x800454d2;
  private static final int TUNSETOFFLOAD = 0x400454d0;
  private static final int TUNSETVNETHDRSZ = 0x400454d8;
  private static final int TUNSETQUEUE = 0x400454d9;

  private static final int MAX_QUEUED_FRAMES = 4096;

  // struct ifreq: name[16], then flags.
  private static final int IFREQ_BYTES = 40;
  private static final int IFREQ_FLAGS = 16;
  private static final short IFF_ATTACH_QUEUE = 0x0200;
  private static final short IFF_DETACH_QUEUE = 0x0400;

  private final Libc libc;
  private final Fd fd;
  private final PollSet self;
  private final PollSet frames;
  private boolean closed;

  /**
   * @param fd a queue of a tap interface, opened with IFF_TAP, IFF_NO_PI, IFF_VNET_HDR and
   *     O_NONBLOCK; owned from now on
   * @throws LinuxException if it is none
   */
  public Tap(Fd fd) {
    this(Linux.libc(), fd);
  }

  /** As above, with the system calls made by {@code libc}. */
  public Tap(Libc libc, Fd fd) {
    this.libc = libc;
    this.fd = fd;
    this.self = new PollSet(fd);
    self.watch(0, PollSet.WRITABLE);
    this.frames = new PollSet(fd);
    frames.watch(0, PollSet.READABLE);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment headerBytes = arena.allocate(4, 4);
      headerBytes.set(ValueLayout.JAVA_INT, 0, HEADER_BYTES);
      Linux.check(ioctl(TUNSETVNETHDRSZ, headerBytes.address()), "TUNSETVNETHDRSZ");
    }
  }

  /** For a thread that waits for frames. */
  public Fd fd() {
    return fd;
  }

  /**
   * The interface's name, which the host may change; empty once it is gone, or this is closed. Any
   * thread may ask.
   */
  public synchronized String name() {
    if (closed) {
      return "";
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment request = arena.allocate(IFREQ_BYTES, 8);
      return ioctl(TUNGETIFF, request.address()) == 0 ? request.getString(0) : "";
    }
  }

  /**
   * Reads the next frame, header first; what {@code vector} has no room for is lost.
   *
   * @return bytes, or a negative error number: EAGAIN if there is no frame, EBADFD if the interface
   *     is gone
   */
  public int read(IoVector vector) {
    long count = libc.readv(fd.number(), vector.address(), vector.count());
    if (count == 0) { // Never from a tap interface, and from anything else the end.
      return -Errno.EBADFD;
    }
    return count > 0 ? (int) count : -Linux.errno();
  }

  /** Whether a frame waits to be read, or an error. For one thread. */
  public boolean hasFrame() {
    frames.await(0);
    return frames.readiness(0) != 0;
  }

  /** Throws away what waits to be read. */
  public void discardFrames() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment start = arena.allocate(HEADER_BYTES);
      // More than any interface queues, so that an unending stream does not hold us up.
      for (int i = 0; i < MAX_QUEUED_FRAMES; i++) {
        if (libc.read(fd.number(), start.address(), HEADER_BYTES) == -1) {
          return;
        }
      }
    }
  }

  /**
   * Sends a frame, header first.
   *
   * @return bytes, or a negative error number: EINVAL if the header makes no sense, EIO while the
   *     interface is down, EBADFD if it is gone
   */
  public int write(IoVector vector) {
    long count = libc.writev(fd.number(), vector.address(), vector.count());
    return count >= 0 ? (int) count : -Linux.errno();
  }

  /**
   * Whether the interface is up. A thread can wait for that: its descriptor is writable then, and
   * only then.
   */
  public boolean isUp() {
    self.await(0);
    return (self.readiness(0) & PollSet.WRITABLE) != 0;
  }

  /**
   * Says what is expected of those who read from any queue of the interface: OFFLOAD constants.
   *
   * @return false if the interface is gone
   * @throws LinuxException if it cannot
   */
  public boolean setOffloads(int offloads) {
    int result = ioctl(TUNSETOFFLOAD, offloads);
    if (result == -1 && Linux.errno() == Errno.EBADFD) {
      return false;
    }
    Linux.check(result, "TUNSETOFFLOAD");
    return true;
  }

  /**
   * Gets its share of the interface's frames again, which the kernel spreads over all attached
   * queues.
   *
   * @return false if it cannot, the interface being gone
   */
  public boolean attach() {
    return setQueue(IFF_ATTACH_QUEUE);
  }

  /**
   * Gets no frames until the next {@link #attach}.
   *
   * @return false if the interface is gone
   */
  public boolean detach() {
    return setQueue(IFF_DETACH_QUEUE);
  }

  private boolean setQueue(short flags) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment request = arena.allocate(IFREQ_BYTES, 8); // TUNSETQUEUE needs no name.
      request.set(ValueLayout.JAVA_SHORT, IFREQ_FLAGS, flags);
      return ioctl(TUNSETQUEUE, request.address()) == 0;
    }
  }

  private int ioctl(int request, long argument) {
    return libc.ioctl(fd.number(), Integer.toUnsignedLong(request), argument);
  }

  @Override
  public synchronized void close() {
    closed = true;
    fd.close();
  }
}
