package dev.vireo.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * IPv4 settings of an interface of this thread's network namespace (netdevice(7), arp(7)). An
 * address is an {@code int} in the order in which it is written: 10.0.0.1 is 0x0a000001.
 */
public final class Ipv4Interface {
  private static final int SIOCADDRT = 0x890b;
  private static final int SIOCGIFFLAGS = 0x8913;
  private static final int SIOCSIFFLAGS = 0x8914;
  private static final int SIOCSIFADDR = 0x8916;
  private static final int SIOCSIFNETMASK = 0x891c;
  private static final int SIOCSARP = 0x8955;

  private static final short IFF_UP = 1;
  private static final short AF_INET = 2;
  private static final int SOCK_DGRAM_CLOEXEC = 2 | 02000000;
  private static final int HOST_MASK = 0xffff_ffff;

  // linux/if.h: struct ifreq { char name[16]; union { struct sockaddr; short flags; … } }
  private static final int IFREQ_BYTES = 40;
  private static final int IFREQ_UNION = 16;

  // linux/route.h: struct rtentry
  private static final int RTENTRY_BYTES = 120;
  private static final int RTENTRY_DST = 8;
  private static final int RTENTRY_GENMASK = 40;
  private static final int RTENTRY_FLAGS = 56;
  private static final int RTENTRY_DEV = 88;
  private static final short RTF_UP = 1;
  private static final short RTF_HOST = 4;

  // linux/if_arp.h: struct arpreq
  private static final int ARPREQ_BYTES = 68;
  private static final int ARPREQ_HA = 16;
  private static final int ARPREQ_FLAGS = 32;
  private static final int ARPREQ_DEV = 52;
  private static final short ARPHRD_ETHER = 1;
  private static final int ATF_COM = 2;
  private static final int ATF_PERM = 4;

  private static final ValueLayout.OfInt NETWORK_ORDER =
      ValueLayout.JAVA_INT.withOrder(ByteOrder.BIG_ENDIAN);

  private final String name;

  public Ipv4Interface(String name) {
    if (name.isEmpty() || name.length() > TapInterface.MAX_NAME_BYTES) {
      throw new IllegalArgumentException("no name of an interface: " + name);
    }
    this.name = name;
  }

  /** Its address, alone: no route to neighbours comes with it. To be set while it is down. */
  public void setAddress(int address) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment request = ifreq(arena);
      putAddress(request.asSlice(IFREQ_UNION), address);
      control(request, SIOCSIFADDR, "set the address of " + name);
      putAddress(request.asSlice(IFREQ_UNION), HOST_MASK);
      control(request, SIOCSIFNETMASK, "set the netmask of " + name);
    }
  }

  /** Takes it up. */
  public void setUp() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment request = ifreq(arena);
      control(request, SIOCGIFFLAGS, "see whether " + name + " is up");
      short flags = request.get(ValueLayout.JAVA_SHORT, IFREQ_UNION);
      request.set(ValueLayout.JAVA_SHORT, IFREQ_UNION, (short) (flags | IFF_UP));
      control(request, SIOCSIFFLAGS, "take " + name + " up");
    }
  }

  /** What is sent to this address leaves here. The interface is up. */
  public void addHostRoute(int destination) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment route = arena.allocate(RTENTRY_BYTES, 8);
      putAddress(route.asSlice(RTENTRY_DST), destination);
      putAddress(route.asSlice(RTENTRY_GENMASK), HOST_MASK);
      route.set(ValueLayout.JAVA_SHORT, RTENTRY_FLAGS, (short) (RTF_UP | RTF_HOST));
      route.set(ValueLayout.JAVA_LONG, RTENTRY_DEV, Linux.cString(arena, name));
      control(route, SIOCADDRT, "route by " + name);
    }
  }

  /**
   * Whose Ethernet address a neighbour has, whatever anybody says.
   *
   * @param mac six bytes
   */
  public void setNeighbour(int address, byte[] mac) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment request = arena.allocate(ARPREQ_BYTES, 8);
      putAddress(request, address);
      MemorySegment hardware = request.asSlice(ARPREQ_HA);
      hardware.set(ValueLayout.JAVA_SHORT, 0, ARPHRD_ETHER);
      MemorySegment.copy(MemorySegment.ofArray(mac), 0, hardware, Short.BYTES, mac.length);
      request.set(ValueLayout.JAVA_INT, ARPREQ_FLAGS, ATF_COM | ATF_PERM);
      request.setString(ARPREQ_DEV, name, StandardCharsets.US_ASCII);
      control(request, SIOCSARP, "set a neighbour of " + name);
    }
  }

  private MemorySegment ifreq(Arena arena) {
    MemorySegment request = arena.allocate(IFREQ_BYTES, 8);
    request.setString(0, name, StandardCharsets.US_ASCII);
    return request;
  }

  /** struct sockaddr_in without a port. */
  private static void putAddress(MemorySegment socketAddress, int address) {
    socketAddress.set(ValueLayout.JAVA_SHORT, 0, AF_INET);
    socketAddress.set(NETWORK_ORDER, 4, address);
  }

  /** Any socket reaches the interfaces of its namespace. */
  private static void control(MemorySegment request, int ioctl, String what) {
    int socket = Linux.libc().socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0);
    try (Fd any = Fd.owning(Linux.check(socket, "socket"))) {
      any.ioctl(ioctl, request, what);
    }
  }
}
