package dev.vireo.vmm.virtio.console;

import static java.util.Objects.requireNonNull;

import dev.vireo.catalog.BackEnd;
import dev.vireo.linux.Poller;
import dev.vireo.linux.StreamSocket;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.memory.IoVector;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.DriverSignals;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.RequestKind;
import dev.vireo.vmm.virtio.queue.ServingLock;
import dev.vireo.vmm.virtio.queue.Threads;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * A virtio-console device: ports, served by one thread that waits for the driver's notifications
 * and for the ports' clients at once.
 */
public final class ConsoleDevice implements VirtioDevice {
  /** What a device has at most: two queues each, and a socket. */
  public static final int MAX_PORTS = 16;

  // Feature bits (5.3.3).
  static final long SIZE = 1;
  static final long MULTIPORT = 1 << 1;
  static final long EMERG_WRITE = 1 << 2;

  /** Linux fills receive queues with a page each. */
  private static final int QUEUE_SIZE = 64;

  // 5.3.4: struct virtio_console_config { le16 cols; le16 rows; le32 max_nr_ports; le32 emerg_wr; }
  private static final int CONFIG_LENGTH = 12;
  private static final int CONFIG_EMERGENCY = 8;

  private static final int MAX_EVENTS = 64;

  /** The poller's keys: a queue's notifier has its index, what belongs to a port one of these. */
  private static final int LISTENERS = 1 << 8;

  private static final int CLIENTS = 1 << 9;
  private static final int PORT_MASK = LISTENERS - 1;

  private static final long PATIENCE_NANOS = 1_000_000_000;

  private final String id;
  private final EnumCounters<ConsoleEvent> counters = new EnumCounters<>(ConsoleEvent.class);
  private final Alarm alarm = new Alarm();
  private final ConsoleContext context;
  private final Port[] ports;
  private final ServingLock serving = new ServingLock();
  private List<QueueConnection> connections = List.of();
  private volatile @Nullable Loop loop;
  private boolean closed;
  private volatile @Nullable ConsoleService service;
  private volatile @Nullable DriverSignals signals;

  /** What the configuration space shows. */
  private volatile ConsoleSize shown;

  /**
   * @param setups the ports, 1 to {@link #MAX_PORTS}, of which the first is a console: it is the
   *     only one that a driver without MULTIPORT knows, as a console
   * @param toGuest limits what comes to the guest, by all ports together
   * @param toHost limits what the guest writes, likewise. A console's driver waits for it with its
   *     processor
   * @param nanoTime a monotonic clock
   */
  public ConsoleDevice(
      String id,
      List<PortSetup> setups,
      RateLimiter toGuest,
      RateLimiter toHost,
      LongSupplier nanoTime) {
    this(id, setups, toGuest, toHost, nanoTime, PATIENCE_NANOS);
  }

  ConsoleDevice(
      String id,
      List<PortSetup> setups,
      RateLimiter toGuest,
      RateLimiter toHost,
      LongSupplier nanoTime,
      long patienceNanos) {
    if (setups.isEmpty() || setups.size() > MAX_PORTS || !setups.getFirst().console()) {
      throw new IllegalArgumentException(setups.size() + " ports, the first has to be a console");
    }
    this.id = id;
    this.context =
        new ConsoleContext(
            new StreamSocket(),
            Arena.ofAuto().allocate(1),
            counters,
            toGuest,
            toHost,
            alarm,
            nanoTime,
            patienceNanos);
    this.ports = new Port[setups.size()];
    for (int i = 0; i < ports.length; i++) {
      PortSetup setup = setups.get(i);
      HostSocket host = new HostSocket(setup.listener(), LISTENERS + i, CLIENTS + i, context);
      ports[i] = new Port(i, setup, host, context);
    }
    this.shown = ports[0].size();
  }

  @Override
  public BackEnd backEnd() {
    return BackEnd.CONSOLE_UNIX;
  }

  @Override
  public String id() {
    return id;
  }

  @Override
  public long features() {
    return Virtqueue.FEATURES | RING_RESET | SIZE | MULTIPORT | EMERG_WRITE;
  }

  /** A pair for each port, and one for control. */
  @Override
  public List<Integer> queueSizes() {
    return Collections.nCopies(2 * ports.length + 2, QUEUE_SIZE);
  }

  @Override
  public RequestKind requestKind(int queue) {
    if (ConsoleService.isControl(queue)) {
      return RequestKind.CONTROL;
    }
    return queue % 2 == 0 ? RequestKind.RECEIVE : RequestKind.TRANSMIT;
  }

  @Override
  public int configLength() {
    return CONFIG_LENGTH;
  }

  @Override
  public byte readConfig(int offset) {
    return ByteBuffer.allocate(CONFIG_LENGTH)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putShort((short) shown.columns())
        .putShort((short) shown.rows())
        .putInt(ports.length)
        .get(offset);
  }

  /** 5.3.4: a character by emerg_wr, at any time, whatever was negotiated. */
  @Override
  public boolean writeConfig(int offset, byte value) {
    if (offset == CONFIG_EMERGENCY) {
      try (ServingLock _ = serving.take()) {
        counters.increment(ConsoleEvent.EMERGENCY_WRITES);
        ports[0].keep(value);
      }
      if (loop != null) {
        loop.wake();
      }
    }
    return offset >= CONFIG_EMERGENCY;
  }

  @Override
  public void connect(List<QueueConnection> queues) {
    connections = queues;
  }

  @Override
  public void activate(Activation activation) {
    boolean multiport = activation.has(MULTIPORT);
    signals = activation.signals();
    try (ServingLock _ = serving.take()) {
      forgetDriver();
      if (!multiport) {
        ports[0].useSilently();
      }
      if (loop == null) {
        loop = new Loop(new IoVector(activation.memory(), QUEUE_SIZE));
      }
      service = new ConsoleService(ports, activation, connections, multiport, loop.vector, context);
      activation.startQueues(this);
    }
    // Linux looks at the size in the configuration when that changes, and not before.
    if (!multiport && activation.has(SIZE)) {
      activation.signals().changeConfig(this::showSize);
    }
  }

  @Override
  public void startQueue(int index, Virtqueue queue, Activation activation) {
    try (ServingLock _ = serving.take()) {
      ConsoleService current = service;
      if (current != null) {
        current.startQueue(index, queue);
        requireNonNull(loop).wake();
      }
    }
  }

  @Override
  public void stopQueue(int index) {
    try (ServingLock _ = serving.take()) {
      ConsoleService current = service;
      if (current != null) {
        current.stopQueue(index);
      }
    }
  }

  @Override
  public void deactivate() {
    try (ServingLock _ = serving.take()) {
      service = null;
      forgetDriver();
    }
  }

  private void forgetDriver() {
    for (Port port : ports) {
      port.forgetDriver();
    }
  }

  /**
   * Tells the guest of another size.
   *
   * @param port its number
   * @throws IndexOutOfBoundsException if there is no such port
   */
  public void resize(int port, ConsoleSize size) {
    try (ServingLock _ = serving.take()) {
      if (closed) {
        return;
      }
      ports[port].resize(size);
      if (loop != null) {
        loop.wake();
      }
    }
    DriverSignals driver = signals;
    if (driver != null && !shown.equals(ports[0].size())) {
      driver.changeConfig(this::showSize);
    }
  }

  private void showSize() {
    shown = ports[0].size();
  }

  /** With the lock. Clients are served without a driver too. Returns whether there is more. */
  private boolean serve(IoVector ranges) {
    alarm.clear();
    ConsoleService current = service;
    if (current != null) {
      return serve(current);
    }
    for (Port port : ports) {
      attend(port, ranges);
    }
    return false;
  }

  private boolean serve(ConsoleService current) {
    try {
      return current.serve();
    } catch (RuntimeException | Error e) {
      failed(e);
      return false;
    }
  }

  private void attend(Port port, IoVector ranges) {
    try {
      port.attend(ranges);
    } catch (RuntimeException | Error e) {
      failed(e);
    }
  }

  /**
   * Whatever goes wrong ends in DEVICE_NEEDS_RESET, not in the end of the thread. Without a driver
   * it is counted.
   */
  private void failed(Throwable cause) {
    ConsoleService current = service;
    if (current == null) {
      counters.increment(ConsoleEvent.ERRORS_SOCKET);
    } else {
      service = null;
      current.needsReset(cause);
    }
  }

  @Override
  public Map<String, String> attributes() {
    Map<String, String> result = new TreeMap<>();
    for (Port port : ports) {
      result.put("port." + port.name(), port.describe());
    }
    return result;
  }

  @Override
  public Map<String, Long> counters() {
    Map<String, Long> result = new TreeMap<>();
    counters.putInto(result, "");
    return result;
  }

  @Override
  public void close() {
    deactivate();
    try (ServingLock _ = serving.take()) {
      closed = true;
    }
    if (loop != null) {
      loop.close();
    }
    for (Port port : ports) {
      port.close();
    }
  }

  /** The device's thread, which outlives resets. */
  private final class Loop implements Runnable, AutoCloseable {
    private static final int NEWS = Poller.READABLE | Poller.EDGE_TRIGGERED;

    private final Poller poller = new Poller(MAX_EVENTS);
    private final IoVector vector;
    private final Thread thread;
    private volatile boolean closed;

    Loop(IoVector vector) {
      this.vector = vector;
      for (int i = 0; i < connections.size(); i++) {
        poller.add(connections.get(i).notifier().fd(), NEWS, i);
      }
      for (Port port : ports) {
        port.host().watchBy(poller);
      }
      thread = Thread.ofPlatform().name("console " + id).daemon().start(this);
    }

    void wake() {
      connections.getFirst().notifier().signal();
    }

    @Override
    public void run() {
      int timeoutMillis = -1;
      while (true) {
        int ready = poller.await(timeoutMillis);
        if (closed) {
          return;
        }
        try (ServingLock _ = serving.take()) {
          for (int i = 0; i < ready; i++) {
            note(poller.key(i), poller.readiness(i));
          }
          timeoutMillis = serve(vector) ? 0 : alarm.millis();
        }
      }
    }

    /** Each by itself: of a client that outlives a reset nobody would tell again. */
    private void note(int key, int readiness) {
      try {
        tell(key, readiness);
      } catch (RuntimeException | Error e) {
        failed(e);
      }
    }

    private void tell(int key, int readiness) {
      if (key >= CLIENTS) {
        ports[key & PORT_MASK].host().ready(readiness);
      } else if (key >= LISTENERS) {
        ports[key & PORT_MASK].host().clientsWait();
      } else {
        // Not drained: an edge is told of whatever the count is.
        connections.get(key).counters().notified();
      }
    }

    /** Ends the thread. */
    @Override
    public void close() {
      closed = true;
      wake();
      Threads.awaitEnd(thread);
      poller.close();
    }
  }
}
