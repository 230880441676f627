package dev.vireo.vmm.virtio.vsock;

import static dev.vireo.vmm.virtio.queue.GuestRing.HIGH_RAM;
import static dev.vireo.vmm.virtio.queue.GuestRing.NEXT;
import static dev.vireo.vmm.virtio.queue.GuestRing.WRITE;
import static java.time.Duration.ofMillis;
import static org.awaitility.Awaitility.await;

import com.google.protobuf.ByteString;
import dev.vireo.catalog.MmioPlan;
import dev.vireo.linux.EventFd;
import dev.vireo.linux.StreamSocket;
import dev.vireo.linux.UnixListener;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.virtio.mmio.GuestDriver;
import dev.vireo.vmm.virtio.mmio.MmioTransport;
import dev.vireo.vmm.virtio.queue.GuestRing;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.locks.LockSupport;

/**
 * A guest with a vsock device, packet by packet, and the host's side of it. It does what it is
 * told, legal or not.
 */
final class VsockGuest implements AutoCloseable {
  static final long CID = 42;
  static final long HOST = 2;

  /** The room that packets say the guest has, unless a test says otherwise. */
  static final int ROOM = 1 << 20;

  private static final int QUEUE_SIZE = 256;
  private static final int RX = 0;
  private static final int TX = 1;
  private static final long RX_BUFFERS = 0x2_0000;
  private static final long TX_BUFFERS = HIGH_RAM;

  /** A packet as either side sees it. */
  record Packet(
      long sourceCid,
      long destinationCid,
      int sourcePort,
      int destinationPort,
      int type,
      int operation,
      int flags,
      int bufferSize,
      int forwarded,
      ByteString data) {
    /** From the guest to the host. */
    static Packet of(int operation, int guestPort, int hostPort, byte... data) {
      return new Packet(
          CID, HOST, guestPort, hostPort, 1, operation, 0, ROOM, 0, ByteString.copyFrom(data));
    }

    Packet from(long cid) {
      return new Packet(
          cid,
          destinationCid,
          sourcePort,
          destinationPort,
          type,
          operation,
          flags,
          bufferSize,
          forwarded,
          data);
    }

    Packet to(long cid) {
      return new Packet(
          sourceCid,
          cid,
          sourcePort,
          destinationPort,
          type,
          operation,
          flags,
          bufferSize,
          forwarded,
          data);
    }

    Packet ofType(int newType) {
      return new Packet(
          sourceCid,
          destinationCid,
          sourcePort,
          destinationPort,
          newType,
          operation,
          flags,
          bufferSize,
          forwarded,
          data);
    }

    Packet flags(int newFlags) {
      return new Packet(
          sourceCid,
          destinationCid,
          sourcePort,
          destinationPort,
          type,
          operation,
          newFlags,
          bufferSize,
          forwarded,
          data);
    }

    Packet credit(int newBufferSize, int newForwarded) {
      return new Packet(
          sourceCid,
          destinationCid,
          sourcePort,
          destinationPort,
          type,
          operation,
          flags,
          newBufferSize,
          newForwarded,
          data);
    }

    byte[] bytes() {
      return data.toByteArray();
    }
  }

  /** What the device asked the worker for. */
  record Dial(int key, int port) {}

  final GuestRing rx = new GuestRing(QUEUE_SIZE);
  final GuestRing tx = new GuestRing(rx.memory(), QUEUE_SIZE, 0x8000);
  final GuestMemory memory = rx.memory();
  final List<Dial> dials = new CopyOnWriteArrayList<>();
  final VsockDevice device;
  final MmioTransport transport;
  final GuestDriver driver;
  volatile boolean workerIsThere = true;

  /** By the device's thread. */
  volatile Runnable onDial = () -> {};

  private final UnixListener socket;
  private final Path path;
  private final EventFd interrupt = EventFd.nonBlocking();
  private final List<EventFd> notifiers = new ArrayList<>();
  private final List<AutoCloseable> owned = new ArrayList<>();

  VsockGuest(Path directory) {
    this(directory, new StreamSocket());
  }

  /** Whose device uses {@code sockets}. */
  VsockGuest(Path directory, StreamSocket sockets) {
    path = directory.resolve("vsock");
    socket = UnixListener.bind(path.toString(), 4096);
    socket.fd().setNonBlocking();
    device =
        new VsockDevice(
            "vsock",
            CID,
            socket.fd(),
            (key, port) -> {
              dials.add(new Dial(key, port));
              onDial.run();
              return workerIsThere;
            },
            sockets);
    for (int i = 0; i < 3; i++) {
      notifiers.add(EventFd.blocking());
    }
    transport = new MmioTransport(MmioPlan.X86_64.slot(0), device, memory, interrupt, notifiers);
    driver = new GuestDriver(transport, rx);
  }

  /** The driver up to DRIVER_OK, with {@code buffers} of 4 KiB to receive into. */
  VsockGuest start(int buffers) {
    driver.negotiate(device.features());
    rx.clear();
    tx.clear();
    driver.setUpQueue(RX, rx.setup());
    driver.setUpQueue(TX, tx.setup());
    driver.ready();
    offerBuffers(buffers);
    return this;
  }

  /** Offers {@code count} buffers to receive into: a header's 44 bytes, and 4 KiB. */
  void offerBuffers(int count) {
    for (int i = 0; i < count; i++) {
      rx.descriptor(i, RX_BUFFERS + 0x1100L * i, 44, NEXT | WRITE, 128 + i)
          .descriptor(128 + i, RX_BUFFERS + 0x1100L * i + 44, 4096, WRITE, 0)
          .offer(i);
    }
    notifyRx();
  }

  void notifyRx() {
    notifiers.get(RX).signal();
  }

  void notifyTx() {
    notifiers.get(TX).signal();
  }

  /** Puts a packet where the device finds it, and waits until it has. */
  void send(Packet packet) {
    send(packet, packet.data().size());
  }

  /** With a length in the header that may be another than the data's. */
  void send(Packet packet, int length) {
    sendRaw(encode(packet, length));
  }

  void sendRaw(byte[] bytes) {
    memory.write(TX_BUFFERS, bytes);
    tx.descriptor(0, TX_BUFFERS, bytes.length, 0, 0).offer(0);
    notifyTx();
    waitFor(tx);
    tx.takeUsed();
  }

  static byte[] encode(Packet packet, int length) {
    ByteBuffer bytes =
        ByteBuffer.allocate(44 + packet.data().size()).order(ByteOrder.LITTLE_ENDIAN);
    bytes
        .putLong(packet.sourceCid())
        .putLong(packet.destinationCid())
        .putInt(packet.sourcePort())
        .putInt(packet.destinationPort())
        .putInt(length)
        .putShort((short) packet.type())
        .putShort((short) packet.operation())
        .putInt(packet.flags())
        .putInt(packet.bufferSize())
        .putInt(packet.forwarded())
        .put(packet.bytes());
    return bytes.array();
  }

  private static void waitFor(GuestRing ring) {
    while (!ring.hasUsed()) { // Not by a poll each millisecond: there are thousands of packets.
      if (Thread.interrupted()) {
        throw new AssertionError("nothing was returned in time");
      }
      LockSupport.parkNanos(20_000);
    }
  }

  boolean hasPacket() {
    return rx.hasUsed();
  }

  /** The next packet of the device; its buffer is offered again. */
  Packet receive() {
    waitFor(rx);
    GuestRing.Used used = rx.takeUsed();
    Packet packet = decode(used);
    rx.offer(used.head());
    notifyRx();
    return packet;
  }

  /** The next packet; its buffer is not offered again. */
  Packet take() {
    waitFor(rx);
    return decode(rx.takeUsed());
  }

  private Packet decode(GuestRing.Used used) {
    byte[] bytes = new byte[used.written()];
    memory.read(RX_BUFFERS + 0x1100L * used.head(), bytes);
    ByteBuffer header = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    byte[] data = new byte[bytes.length - 44];
    header.get(44, data);
    if (header.getInt(24) != data.length) {
      throw new AssertionError(
          "length %d in a packet of %d".formatted(header.getInt(24), data.length));
    }
    return new Packet(
        header.getLong(0),
        header.getLong(8),
        header.getInt(16),
        header.getInt(20),
        header.getShort(28),
        header.getShort(30),
        header.getInt(32),
        header.getInt(36),
        header.getInt(40),
        ByteString.copyFrom(data));
  }

  /** A process of the host that has connected to the microVM's socket. */
  SocketChannel hostConnects() throws IOException {
    SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
    owned.add(channel);
    channel.connect(UnixDomainSocketAddress.of(path));
    return channel;
  }

  long count(String counter) {
    return transport.inspect().counters().getOrDefault(counter, 0L);
  }

  void awaitCount(String counter, long value) {
    await(counter)
        .pollDelay(Duration.ZERO)
        .pollInterval(ofMillis(1))
        .until(() -> count(counter) == value);
  }

  int connections() {
    return Integer.parseInt(device.attributes().getOrDefault("connections", ""));
  }

  void awaitNoConnections() {
    awaitConnections(0);
  }

  /** The device counts them at the end of a turn, after it has returned buffers. */
  void awaitConnections(int count) {
    await(count + " connections")
        .pollDelay(Duration.ZERO)
        .pollInterval(ofMillis(1))
        .until(() -> connections() == count);
  }

  <T extends AutoCloseable> T own(T resource) {
    owned.add(resource);
    return resource;
  }

  @Override
  public void close() {
    transport.close();
    for (AutoCloseable each : owned.reversed()) {
      try {
        each.close();
      } catch (Exception e) {
        throw new AssertionError(e);
      }
    }
    for (EventFd notifier : notifiers) {
      notifier.close();
    }
    interrupt.close();
  }
}
