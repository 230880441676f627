package dev.vireo.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.IntPredicate;

/**
 * The connections of IPv4 that the kernel remembers (conntrack), in this thread's network
 * namespace. An address is an {@code int} in the order in which it is written: 10.0.0.1 is
 * 0x0a000001. Needs CAP_NET_ADMIN.
 */
public final class Connections {
  private static final int AF_NETLINK = 16;
  private static final int SOCK_RAW_CLOEXEC = 3 | 02000000;
  private static final byte AF_INET = 2;

  // linux/netlink.h: struct nlmsghdr, struct nlattr
  private static final int NETLINK_NETFILTER = 12;
  private static final int NLMSG_ERROR = 2;
  private static final int NLMSG_DONE = 3;
  private static final int NLM_F_REQUEST = 1;
  private static final int NLM_F_ACK = 4;
  private static final int NLM_F_DUMP = 0x300;
  private static final int MESSAGE_HEADER_BYTES = 16;
  private static final int ATTRIBUTE_HEADER_BYTES = 4;
  private static final int ATTRIBUTE_TYPE_MASK = 0x3fff;

  // linux/netfilter/nfnetlink.h: struct nfgenmsg
  private static final int NFGENMSG_BYTES = 4;

  // linux/netfilter/nfnetlink_conntrack.h
  private static final int GET = 1 << 8 | 1;
  private static final int DELETE = 1 << 8 | 2;
  private static final int CTA_TUPLE_ORIG = 1;
  private static final int CTA_TUPLE_REPLY = 2;
  private static final int CTA_ID = 12;
  private static final int CTA_ZONE = 18;
  private static final int CTA_TUPLE_IP = 1;
  private static final int CTA_IP_V4_SRC = 1;
  private static final int CTA_IP_V4_DST = 2;

  /** The kernel sends less at a time. */
  private static final int BUFFER_BYTES = 64 << 10;

  private final Fd netlink;
  private final MemorySegment buffer;

  private Connections(Fd netlink, MemorySegment buffer) {
    this.netlink = netlink;
    this.buffer = buffer;
  }

  /** Has the kernel forget those that one of these addresses is part of, translated or not. */
  public static void forget(IntPredicate address) {
    int socket = Linux.libc().socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_NETFILTER);
    try (Fd netlink = Fd.owning(Linux.check(socket, "socket"));
        Arena arena = Arena.ofConfined()) {
      Connections connections = new Connections(netlink, arena.allocate(BUFFER_BYTES, 8));
      connections.namesOf(address).forEach(connections::delete);
    }
  }

  /** By what the kernel finds each: the attributes that a request to delete it has. */
  private List<byte[]> namesOf(IntPredicate address) {
    List<byte[]> names = new ArrayList<>();
    request(
        GET,
        NLM_F_DUMP,
        new byte[0],
        connection -> {
          if (isPartOf(connection, CTA_TUPLE_ORIG, address)
              || isPartOf(connection, CTA_TUPLE_REPLY, address)) {
            names.add(name(connection));
          }
        });
    return names;
  }

  private void delete(byte[] name) {
    try {
      request(DELETE, NLM_F_ACK, name, _ -> {});
    } catch (LinuxException e) {
      if (e.errno() != Errno.ENOENT) { // It may have ended meanwhile.
        throw e;
      }
    }
  }

  private static boolean isPartOf(ByteBuffer connection, int tuple, IntPredicate address) {
    Optional<ByteBuffer> addresses =
        attribute(connection, tuple)
            .flatMap(found -> attribute(content(found), CTA_TUPLE_IP))
            .map(Connections::content);
    return addresses.isPresent()
        && (matches(addresses.get(), CTA_IP_V4_SRC, address)
            || matches(addresses.get(), CTA_IP_V4_DST, address));
  }

  private static boolean matches(ByteBuffer addresses, int which, IntPredicate address) {
    return attribute(addresses, which)
        .filter(found -> address.test(content(found).order(ByteOrder.BIG_ENDIAN).getInt()))
        .isPresent();
  }

  private static byte[] name(ByteBuffer connection) {
    ByteBuffer name = ByteBuffer.allocate(connection.remaining());
    for (int type : new int[] {CTA_TUPLE_ORIG, CTA_ZONE, CTA_ID}) {
      attribute(connection, type)
          .ifPresent(found -> {
            name.put(found);
            name.position(aligned(name.position()));
          });
    }
    byte[] bytes = new byte[name.position()];
    name.get(0, bytes);
    return bytes;
  }

  /** The attribute of this type, with its header. */
  private static Optional<ByteBuffer> attribute(ByteBuffer attributes, int type) {
    int at = 0;
    while (at + ATTRIBUTE_HEADER_BYTES <= attributes.limit()) {
      int bytes = Short.toUnsignedInt(attributes.getShort(at));
      if ((attributes.getShort(at + 2) & ATTRIBUTE_TYPE_MASK) == type) {
        return Optional.of(slice(attributes, at, bytes));
      }
      at += aligned(Math.max(bytes, ATTRIBUTE_HEADER_BYTES));
    }
    return Optional.empty();
  }

  private static ByteBuffer content(ByteBuffer attribute) {
    return slice(attribute, ATTRIBUTE_HEADER_BYTES, attribute.limit() - ATTRIBUTE_HEADER_BYTES);
  }

  private static ByteBuffer slice(ByteBuffer buffer, int at, int bytes) {
    return buffer.slice(at, bytes).order(ByteOrder.nativeOrder());
  }

  private static int aligned(int bytes) {
    return (bytes + 3) & ~3;
  }

  /** Asks for something, and hands on the attributes of each answer until the last. */
  private void request(int type, int flags, byte[] attributes, Consumer<ByteBuffer> answers) {
    int bytes = MESSAGE_HEADER_BYTES + NFGENMSG_BYTES + attributes.length;
    ByteBuffer message = buffer.asByteBuffer().order(ByteOrder.nativeOrder());
    message.putInt(bytes).putShort((short) type).putShort((short) (NLM_F_REQUEST | flags));
    message.putLong(0); // No sequence number, and the kernel is whom it is for.
    message.put(AF_INET).put(new byte[NFGENMSG_BYTES - 1]).put(attributes);
    int _ = netlink.write(buffer.asSlice(0, bytes));
    boolean more = true;
    while (more) {
      more = hasMore(slice(message, 0, netlink.read(buffer)), answers);
    }
  }

  private static boolean hasMore(ByteBuffer messages, Consumer<ByteBuffer> answers) {
    int at = 0;
    while (at + MESSAGE_HEADER_BYTES <= messages.limit()) {
      int bytes = messages.getInt(at);
      switch (messages.getShort(at + 4)) {
        case NLMSG_DONE -> {
          return false;
        }
        case NLMSG_ERROR -> {
          int error = -messages.getInt(at + MESSAGE_HEADER_BYTES);
          if (error != 0) {
            throw new LinuxException("netlink conntrack", error);
          }
          return false;
        }
        default -> {
          int header = MESSAGE_HEADER_BYTES + NFGENMSG_BYTES;
          answers.accept(slice(messages, at + header, bytes - header));
        }
      }
      at += aligned(bytes);
    }
    return true;
  }
}
