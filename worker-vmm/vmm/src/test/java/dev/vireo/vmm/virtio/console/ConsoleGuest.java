package dev.vireo.vmm.virtio.console;

import static dev.vireo.vmm.virtio.queue.GuestRing.HIGH_RAM;
import static dev.vireo.vmm.virtio.queue.GuestRing.WRITE;
import static java.time.Duration.ofMillis;
import static org.awaitility.Awaitility.await;

import com.google.protobuf.ByteString;
import dev.vireo.catalog.MmioPlan;
import dev.vireo.linux.EventFd;
import dev.vireo.linux.UnixListener;
import dev.vireo.vmm.backend.RateLimiter;
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
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.LongSupplier;

/**
 * A guest with a console device of two consoles and a pipe, message by message, and the host's side
 * of it. It does what it is told, legal or not.
 */
final class ConsoleGuest implements AutoCloseable {
  /** The ports: hvc0 and hvc1, and a pipe. */
  static final int HVC0 = 0;

  static final int HVC1 = 1;
  static final int PIPE = 2;

  static final int DEVICE_READY = 0;
  static final int DEVICE_ADD = 1;
  static final int PORT_READY = 3;
  static final int CONSOLE_PORT = 4;
  static final int RESIZE = 5;
  static final int PORT_OPEN = 6;
  static final int PORT_NAME = 7;

  static final int CONTROL_RX = 2;
  static final int CONTROL_TX = 3;

  static final int QUEUE_SIZE = 64;
  static final int BUFFER_BYTES = 4096;
  private static final int PORTS = 3;
  private static final int QUEUES = 2 * PORTS + 2;

  /** Each queue has its own part of low memory for rings, and of high memory for buffers. */
  private static final long RINGS = 0x1_0000;

  private static final long RING_BYTES = 0x8000;
  private static final long BUFFERS = HIGH_RAM;
  private static final long BUFFER_STRIDE = 0x1_0000;

  /** A control message as either side sees it. */
  record Message(int id, int event, int value, ByteString more) {
    static Message of(int id, int event, int value) {
      return new Message(id, event, value, ByteString.EMPTY);
    }

    byte[] bytes() {
      return ByteBuffer.allocate(8 + more.size())
          .order(ByteOrder.LITTLE_ENDIAN)
          .putInt(id)
          .putShort((short) event)
          .putShort((short) value)
          .put(more.toByteArray())
          .array();
    }

    static Message decode(byte[] bytes) {
      ByteBuffer header = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
      return new Message(
          header.getInt(0),
          Short.toUnsignedInt(header.getShort(4)),
          Short.toUnsignedInt(header.getShort(6)),
          ByteString.copyFrom(bytes, 8, bytes.length - 8));
    }
  }

  /** Limits and patience that differ from test to test. */
  record Rules(RateLimiter toGuest, RateLimiter toHost, Duration patience) {
    static final Rules USUAL =
        new Rules(RateLimiter.UNLIMITED, RateLimiter.UNLIMITED, Duration.ofHours(1));

    Rules patience(Duration other) {
      return new Rules(toGuest, toHost, other);
    }
  }

  final List<GuestRing> rings = new ArrayList<>();
  final GuestMemory memory;
  final ConsoleDevice device;
  final MmioTransport transport;
  final GuestDriver driver;

  /** The device's. */
  volatile LongSupplier clock = System::nanoTime;

  private final Path directory;
  private final EventFd interrupt = EventFd.nonBlocking();
  private final List<EventFd> notifiers = new ArrayList<>();
  private final List<AutoCloseable> owned = new ArrayList<>();

  ConsoleGuest(Path directory, Rules rules) {
    this.directory = directory;
    rings.add(new GuestRing(QUEUE_SIZE));
    memory = rings.getFirst().memory();
    for (int i = 1; i < QUEUES; i++) {
      rings.add(new GuestRing(memory, QUEUE_SIZE, RINGS + i * RING_BYTES));
    }
    device =
        new ConsoleDevice(
            "console",
            List.of(
                setup("hvc0", true, new ConsoleSize(80, 25)),
                setup("hvc1", true, ConsoleSize.UNKNOWN),
                setup("org.example.pipe", false, ConsoleSize.UNKNOWN)),
            rules.toGuest(),
            rules.toHost(),
            () -> clock.getAsLong(),
            rules.patience().toNanos());
    for (int i = 0; i < QUEUES; i++) {
      notifiers.add(EventFd.blocking());
    }
    transport = new MmioTransport(MmioPlan.X86_64.slot(0), device, memory, interrupt, notifiers);
    driver = new GuestDriver(transport, rings.getFirst());
  }

  private PortSetup setup(String name, boolean console, ConsoleSize size) {
    UnixListener listener = UnixListener.bind(directory.resolve(name).toString(), 16);
    listener.fd().setNonBlocking();
    return new PortSetup(name, console, size, listener.fd());
  }

  static int rx(int port) {
    return port == 0 ? 0 : 2 * port + 2;
  }

  static int tx(int port) {
    return rx(port) + 1;
  }

  /** The driver up to DRIVER_OK, with these features of the device's. */
  ConsoleGuest start(long features) {
    driver.negotiate(features);
    boolean multiport = (features & ConsoleDevice.MULTIPORT) != 0;
    for (int i = 0; i < (multiport ? QUEUES : 2); i++) {
      rings.get(i).clear();
      driver.setUpQueue(i, rings.get(i).setup());
    }
    driver.ready();
    return this;
  }

  /** All ports ready and open, and what is told of them taken. */
  ConsoleGuest open() {
    start(device.features());
    offerBuffers(CONTROL_RX, 16);
    say(Message.of(-1, DEVICE_READY, 1));
    for (int port = 0; port < PORTS; port++) {
      hear();
      say(Message.of(port, PORT_READY, 1));
    }
    for (int told = 3 + 2 + 1; told > 0; told--) { // Names, consoles, and a size.
      hear();
    }
    for (int port = 0; port < PORTS; port++) {
      say(Message.of(port, PORT_OPEN, 1));
      offerBuffers(rx(port), 16);
    }
    return this;
  }

  /** Offers the first {@code count} of a queue's buffers to be written. */
  void offerBuffers(int queue, int count) {
    for (int i = 0; i < count; i++) {
      offerBuffer(queue, i, BUFFER_BYTES);
    }
  }

  void offerBuffer(int queue, int index, int length) {
    rings.get(queue).descriptor(index, buffer(queue, index), length, WRITE, 0).offer(index);
    notifyQueue(queue);
  }

  static long buffer(int queue, int index) {
    return BUFFERS + queue * BUFFER_STRIDE + (long) index % 16 * BUFFER_BYTES;
  }

  void notifyQueue(int queue) {
    notifiers.get(queue).signal();
  }

  GuestRing ring(int queue) {
    return rings.get(queue);
  }

  static void awaitUntil(String what, BooleanSupplier condition) {
    await(what)
        .pollDelay(Duration.ZERO)
        .pollInterval(ofMillis(1))
        .atMost(Duration.ofSeconds(20))
        .until(condition::getAsBoolean);
  }

  /** Sends a control message, and waits until the device has heard it. */
  void say(Message message) {
    transmit(CONTROL_TX, message.bytes());
  }

  /** Puts bytes where the device finds them, and waits until it has taken them. */
  void transmit(int queue, byte[] bytes) {
    offer(queue, bytes);
    awaitReturn(queue);
  }

  void offer(int queue, byte[] bytes) {
    memory.write(buffer(queue, 0), bytes);
    rings.get(queue).descriptor(0, buffer(queue, 0), bytes.length, 0, 0).offer(0);
    notifyQueue(queue);
  }

  GuestRing.Used awaitReturn(int queue) {
    while (!rings.get(queue).hasUsed()) { // Not by a poll each millisecond: there are hundreds.
      if (Thread.interrupted()) {
        throw new AssertionError("nothing was returned in queue " + queue);
      }
      LockSupport.parkNanos(20_000);
    }
    return rings.get(queue).takeUsed();
  }

  boolean isTold() {
    return rings.get(CONTROL_RX).hasUsed();
  }

  /** The next control message of the device; its buffer is offered again. */
  Message hear() {
    return Message.decode(receive(CONTROL_RX));
  }

  /** What the device wrote next; its buffer is offered again. */
  byte[] receive(int queue) {
    GuestRing.Used used = awaitReturn(queue);
    byte[] bytes = read(queue, used);
    rings.get(queue).offer(used.head());
    notifyQueue(queue);
    return bytes;
  }

  byte[] read(int queue, GuestRing.Used used) {
    byte[] bytes = new byte[used.written()];
    memory.read(buffer(queue, used.head()), bytes);
    return bytes;
  }

  /** A process of the host that has connected to a port. */
  SocketChannel connect(String name) throws IOException {
    SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
    owned.add(channel);
    channel.connect(UnixDomainSocketAddress.of(directory.resolve(name)));
    return channel;
  }

  /** What the device says of the pipe. */
  String pipe() {
    return device.attributes().getOrDefault("port.org.example.pipe", "");
  }

  long count(String counter) {
    return transport.inspect().counters().getOrDefault(counter, 0L);
  }

  void awaitCount(String counter, long value) {
    awaitUntil(counter + " of " + value, () -> count(counter) == value);
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
    notifiers.forEach(EventFd::close);
    interrupt.close();
  }
}
