package dev.vireo.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * A tap interface of this thread's network namespace, open for whoever will be its far end ({@code
 * linux/if_tun.h}): its name, and a descriptor for each of its queues. Frames come with a {@code
 * struct virtio_net_hdr} before them, and no descriptor blocks.
 */
public final class TapInterface implements AutoCloseable {
  /** The most bytes of an interface's name (IFNAMSIZ without the terminator). */
  public static final int MAX_NAME_BYTES = 15;

  private static final String DEVICE = "/dev/net/tun";

  private static final int TUNSETIFF = 0x400454ca;
  private static final short IFF_TAP = 0x0002;
  private static final short IFF_NO_PI = 0x1000;
  private static final short IFF_VNET_HDR = 0x4000;
  private static final short IFF_MULTI_QUEUE = 0x0100;
  private static final int IFF_TUN_EXCL = 0x8000;

  private static final int SIOCGIFINDEX = 0x8933;
  private static final int SIOCSIFMTU = 0x8922;
  private static final int AF_INET = 2;
  private static final int SOCK_DGRAM_CLOEXEC = 2 | 02000000;

  // linux/if.h: struct ifreq { char name[16]; union { short flags; int ifindex, mtu; … } }
  private static final int IFREQ_BYTES = 40;
  private static final int IFREQ_UNION = 16;

  private final String name;
  private final List<Fd> queues;

  private TapInterface(String name, List<Fd> queues) {
    this.name = name;
    this.queues = queues;
  }

  /**
   * Opens queues of an interface that exists.
   *
   * @param queues 1, or more if it was made for several
   * @throws LinuxException ENODEV if there is none of this name, EINVAL if it is no tap interface
   *     or not made for several queues, EBUSY if somebody else has it open, EPERM if it is somebody
   *     else's
   */
  public static TapInterface open(String name, int queues) {
    checkName(name);
    try (Arena arena = Arena.ofConfined()) {
      // TUNSETIFF would make it.
      control(ifreq(arena, name), SIOCGIFINDEX, "find interface " + name);
    }
    try {
      return attach(name, queues, queues > 1);
    } catch (LinuxException e) {
      if (e.errno() == Errno.EINVAL && queues == 1) {
        return attach(name, queues, true); // Made for several, of which we use one.
      }
      throw e;
    }
  }

  /**
   * Makes an interface that is gone with its last descriptor. It is down and has no address.
   *
   * @param prefix of its name, to which the kernel adds the first number that is free
   * @param mtu bytes, 0 for the kernel's default
   */
  public static TapInterface create(String prefix, int queues, int mtu) {
    return withMtu(attach(prefix + "%d", queues, queues > 1), mtu);
  }

  /**
   * As {@link #create}, of this very name.
   *
   * @throws LinuxException EBUSY if there is an interface of this name
   */
  public static TapInterface createNamed(String name, int queues, int mtu) {
    checkName(name);
    return withMtu(attach(name, queues, queues > 1, IFF_TUN_EXCL), mtu);
  }

  private static TapInterface withMtu(TapInterface made, int mtu) {
    try (Arena arena = Arena.ofConfined()) {
      if (mtu != 0) {
        MemorySegment request = ifreq(arena, made.name);
        request.set(ValueLayout.JAVA_INT, IFREQ_UNION, mtu);
        control(request, SIOCSIFMTU, "set the MTU of " + made.name);
      }
      return made;
    } catch (LinuxException e) {
      made.close();
      throw e;
    }
  }

  private static TapInterface attach(String name, int queues, boolean several) {
    return attach(name, queues, several, 0);
  }

  /**
   * @param first flags of the first descriptor alone
   */
  private static TapInterface attach(String name, int queues, boolean several, int first) {
    List<Fd> opened = new ArrayList<>(queues);
    String found = name;
    try (Arena arena = Arena.ofConfined()) {
      for (int i = 0; i < queues; i++) {
        Fd queue = Fd.open(DEVICE, Fd.O_RDWR | Fd.O_NONBLOCK);
        opened.add(queue);
        MemorySegment request = ifreq(arena, found);
        int flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (several ? IFF_MULTI_QUEUE : 0);
        request.set(ValueLayout.JAVA_SHORT, IFREQ_UNION, (short) (i == 0 ? flags | first : flags));
        queue.ioctl(TUNSETIFF, request, "TUNSETIFF " + found);
        found = request.getString(0, StandardCharsets.US_ASCII);
      }
      return new TapInterface(found, List.copyOf(opened));
    } catch (LinuxException e) {
      opened.forEach(Fd::close);
      throw e;
    }
  }

  private static MemorySegment ifreq(Arena arena, String name) {
    MemorySegment request = arena.allocate(IFREQ_BYTES, 8);
    request.setString(0, name, StandardCharsets.US_ASCII);
    return request;
  }

  /** Any socket reaches the interfaces of its namespace. */
  private static void control(MemorySegment request, int ioctl, String what) {
    int socket = Linux.libc().socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0);
    try (Fd any = Fd.owning(Linux.check(socket, "socket"))) {
      any.ioctl(ioctl, request, what);
    }
  }

  private static void checkName(String name) {
    if (name.isEmpty() || name.length() > MAX_NAME_BYTES || name.indexOf('%') >= 0) {
      throw new IllegalArgumentException("no name of an interface: " + name);
    }
  }

  public String name() {
    return name;
  }

  /** A descriptor for each queue. They are this object's. */
  public List<Fd> queues() {
    return queues;
  }

  @Override
  public void close() {
    queues.forEach(Fd::close);
  }
}
