package dev.vireo.fuzz;

import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.Libc;
import dev.vireo.linux.Linux;
import dev.vireo.linux.StreamSocket;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * A listening unix socket that a device owns the other side of, and those of the host's processes
 * that are connected to it, or to a device otherwise. Nothing here waits.
 */
final class HostSockets implements AutoCloseable {
  /** How a peer may shut its socket down. */
  static final int SENDING = StreamSocket.SHUT_SENDING;

  static final int RECEIVING = StreamSocket.SHUT_RECEIVING;

  private static final int AF_UNIX = 1;
  private static final int SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 04000 | 02000000;
  private static final int MOST = 16;
  private static final int MOST_BYTES = 1 << 16;
  private static final AtomicInteger NAMES = new AtomicInteger();

  private final Libc libc = Linux.libc();
  private final StreamSocket sockets = new StreamSocket();
  private final MemorySegment bytes = Arena.ofAuto().allocate(MOST_BYTES, 8);
  private final MemorySegment vector = Arena.ofAuto().allocate(16, 8);
  private final MemorySegment address;
  private final Fd listener;
  private final List<Fd> peers = new ArrayList<>();

  HostSockets(int backlog) {
    // An abstract name (unix(7)): nothing of it is left, however this process ends.
    byte[] name =
        "\0vireo-fuzz-%d-%d"
            .formatted(ProcessHandle.current().pid(), NAMES.incrementAndGet())
            .getBytes(StandardCharsets.US_ASCII);
    address = Arena.ofAuto().allocate(Short.BYTES + name.length, 2);
    address.set(ValueLayout.JAVA_SHORT, 0, (short) AF_UNIX);
    MemorySegment.copy(name, 0, address, ValueLayout.JAVA_BYTE, Short.BYTES, name.length);
    listener = socket();
    int length = (int) address.byteSize();
    Linux.check(libc.bind(listener.number(), address.address(), length), "bind");
    Linux.check(libc.listen(listener.number(), backlog), "listen");
  }

  private Fd socket() {
    return Fd.owning(Linux.check(libc.socket(AF_UNIX, SOCK_STREAM_NONBLOCK_CLOEXEC, 0), "socket"));
  }

  /** On which peers connect; a device closes it. */
  Fd listener() {
    return listener.duplicate();
  }

  /** Another peer; null if there are too many. */
  @Nullable Fd connect() {
    if (peers.size() == MOST) {
      return null;
    }
    Fd peer = socket();
    if (libc.connect(peer.number(), address.address(), (int) address.byteSize()) != 0) {
      peer.close(); // Too many wait already.
      return null;
    }
    peers.add(peer);
    return peer;
  }

  /** The other end of another peer; null if there are too many. */
  @Nullable Fd pair() {
    if (peers.size() == MOST) {
      return null;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pair = arena.allocate(8, 4);
      Linux.check(
          libc.socketpair(AF_UNIX, SOCK_STREAM_NONBLOCK_CLOEXEC, 0, pair.address()), "socketpair");
      peers.add(Fd.owning(pair.get(ValueLayout.JAVA_INT, 0)));
      return Fd.owning(pair.get(ValueLayout.JAVA_INT, 4));
    }
  }

  /** One of the peers; null if there is none. */
  @Nullable Fd peer(int which) {
    return peers.isEmpty() ? null : peers.get(which % peers.size());
  }

  void send(@Nullable Fd peer, byte[] text) {
    MemorySegment.copy(text, 0, bytes, ValueLayout.JAVA_BYTE, 0, text.length);
    send(peer, text.length);
  }

  /** Whatever bytes, as many as there is room for. */
  void send(@Nullable Fd peer, int length) {
    if (peer != null) {
      point(length);
      long ignored = sockets.send(peer, vector.address(), 1);
    }
  }

  void readAll(@Nullable Fd peer) {
    if (peer != null) {
      point(MOST_BYTES);
      while (sockets.receive(peer, vector.address(), 1) > 0) {}
    }
  }

  private void point(long length) {
    vector.set(ValueLayout.JAVA_LONG, 0, bytes.address());
    vector.set(ValueLayout.JAVA_LONG, 8, length);
  }

  void vanish(@Nullable Fd peer) {
    if (peer != null) {
      peers.remove(peer);
      peer.close();
    }
  }

  void shutDown(@Nullable Fd peer, int how) {
    if (peer != null) {
      sockets.shutdown(peer, how);
    }
  }

  /** Nobody is connected, nobody waits. */
  void restore() {
    peers.forEach(Fd::close);
    peers.clear();
    for (int waiting = sockets.accept(listener); ; waiting = sockets.accept(listener)) {
      if (waiting == -Errno.EAGAIN) {
        return;
      }
      Fd.owning(waiting).close();
    }
  }

  @Override
  public void close() {
    peers.forEach(Fd::close);
    listener.close();
  }
}
