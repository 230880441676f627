package dev.vireo.fuzz;

import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.Libc;
import dev.vireo.linux.Linux;
import dev.vireo.linux.StreamSocket;
import dev.vireo.vmm.virtio.vsock.VsockDevice;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * Processes of the host that talk with a guest by vsock, and the worker that connects it to them:
 * they connect, say what makes sense or not, send, read seldom, shut down and vanish; the worker
 * answers late, wrongly or not at all.
 */
final class HostProcesses implements AutoCloseable {
  private static final int AF_UNIX = 1;
  private static final int SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 04000 | 02000000;
  private static final int BACKLOG = 16;
  private static final int MOST = 16;
  private static final int MOST_BYTES = 1 << 16;
  private static final String NO_COMMAND = "CONNECT \t 4294967296 is no port";
  private static final AtomicInteger NAMES = new AtomicInteger();

  private final Libc libc = Linux.libc();
  private final StreamSocket sockets = new StreamSocket();
  private final MemorySegment bytes = Arena.ofAuto().allocate(MOST_BYTES, 8);
  private final MemorySegment vector = Arena.ofAuto().allocate(16, 8);
  private final MemorySegment address;
  private final Fd listener;
  private final List<Fd> peers = new ArrayList<>();
  // The device's thread asks, the fuzzer's answers.
  private final ArrayDeque<Integer> dials = new ArrayDeque<>();
  private boolean workerIsThere = true;

  HostProcesses() {
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
    Linux.check(libc.listen(listener.number(), BACKLOG), "listen");
  }

  private Fd socket() {
    return Fd.owning(Linux.check(libc.socket(AF_UNIX, SOCK_STREAM_NONBLOCK_CLOEXEC, 0), "socket"));
  }

  /** On which they connect; a device closes it. */
  Fd listener() {
    return listener.duplicate();
  }

  /** The guest connects. */
  synchronized boolean dial(int key, int port) {
    if (workerIsThere) {
      dials.addLast(key);
    }
    return workerIsThere;
  }

  /**
   * @param value low four bits: what; the next three: to whom; the others: how much
   */
  void happen(VsockDevice device, int value) {
    int more = value >>> 8;
    switch (value & 0xf) {
      case 0 -> connect("CONNECT " + (more & 0xffff) + "\n");
      case 1 ->
          connect(
              NO_COMMAND.substring(0, (more & 0xff) % NO_COMMAND.length())
                  + ((more & 0x100) == 0 ? "\n" : ""));
      case 2, 3 -> send(peer(value), 1 + (more & 0xffff));
      case 4, 5 -> readAll(peer(value));
      case 6 -> vanish(peer(value));
      case 7 -> shutDown(peer(value), StreamSocket.SHUT_SENDING);
      case 8 -> shutDown(peer(value), StreamSocket.SHUT_RECEIVING);
      case 9, 10 -> answer(device, true);
      case 11 -> answer(device, false);
      case 12 -> toggleWorker();
      case 13 -> loseWorker(device);
      case 14 -> device.dialed(more, (more & 1) == 0 ? null : connected());
      default -> {
        for (int i = 0; i < 8; i++) {
          connect("CONNECT " + (more + i & 0xffff) + "\n");
        }
      }
    }
  }

  private void connect(String command) {
    if (peers.size() == MOST) {
      return;
    }
    Fd peer = socket();
    if (libc.connect(peer.number(), address.address(), (int) address.byteSize()) != 0) {
      peer.close(); // Too many wait already.
      return;
    }
    peers.add(peer);
    byte[] line = command.getBytes(StandardCharsets.US_ASCII);
    MemorySegment.copy(line, 0, bytes, ValueLayout.JAVA_BYTE, 0, line.length);
    send(peer, line.length);
  }

  private @Nullable Fd peer(int value) {
    return peers.isEmpty() ? null : peers.get((value >>> 4 & 7) % peers.size());
  }

  private void send(@Nullable Fd peer, int length) {
    if (peer != null) {
      point(length);
      long ignored = sockets.send(peer, vector.address(), 1);
    }
  }

  private void readAll(@Nullable Fd peer) {
    if (peer != null) {
      point(MOST_BYTES);
      while (sockets.receive(peer, vector.address(), 1) > 0) {}
    }
  }

  private void point(long length) {
    vector.set(ValueLayout.JAVA_LONG, 0, bytes.address());
    vector.set(ValueLayout.JAVA_LONG, 8, length);
  }

  private void vanish(@Nullable Fd peer) {
    if (peer != null) {
      peers.remove(peer);
      peer.close();
    }
  }

  private void shutDown(@Nullable Fd peer, int how) {
    if (peer != null) {
      sockets.shutdown(peer, how);
    }
  }

  private void answer(VsockDevice device, boolean connected) {
    Integer key;
    synchronized (this) {
      key = dials.pollFirst();
    }
    if (key != null) {
      device.dialed(key, connected ? connected() : null);
    }
  }

  /** One end of a connection; the other is a peer's. */
  private @Nullable Fd connected() {
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

  private synchronized void toggleWorker() {
    workerIsThere ^= true;
  }

  private void loseWorker(VsockDevice device) {
    synchronized (this) {
      dials.clear();
    }
    device.workerLost();
  }

  /** Nobody is connected, nobody waits. */
  void restore() {
    peers.forEach(Fd::close);
    peers.clear();
    synchronized (this) {
      dials.clear();
      workerIsThere = true;
    }
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
