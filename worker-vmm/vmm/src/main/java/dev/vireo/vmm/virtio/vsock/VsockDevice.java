package dev.vireo.vmm.virtio.vsock;

import static dev.vireo.vmm.virtio.vsock.VsockService.RX;
import static dev.vireo.vmm.virtio.vsock.VsockService.TX;
import static java.util.Objects.requireNonNull;

import dev.vireo.catalog.BackEnd;
import dev.vireo.linux.Fd;
import dev.vireo.linux.Poller;
import dev.vireo.linux.StreamSocket;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.RequestKind;
import dev.vireo.vmm.virtio.queue.ServingLock;
import dev.vireo.vmm.virtio.queue.Threads;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * A virtio-vsock device (VIRTIO 1.2, section 5.10): one thread waits for the driver's
 * notifications, for processes of the host that connect, and for all their connections at once.
 */
public final class VsockDevice implements VirtioDevice {
  /** Feature bit (5.10.3). Sequenced packets are not offered: a stream socket cannot keep them. */
  static final long STREAM = 1;

  private static final int QUEUE_SIZE = 256;

  // 5.10.4: struct virtio_vsock_config { le64 guest_cid; }
  private static final int CONFIG_LENGTH = 8;

  private static final int MAX_EVENTS = 64;

  /** The poller's keys, of which those of connections are not negative. */
  private static final int LISTENER = -1;

  private static final int RX_NOTIFIER = -2;
  private static final int TX_NOTIFIER = -3;

  private final String id;
  private final long guestCid;
  private final Fd listener;
  private final Dialer dialer;
  private final StreamSocket sockets;
  private final EnumCounters<VsockEvent> counters = new EnumCounters<>(VsockEvent.class);
  private final ServingLock serving = new ServingLock();
  private final Questions questions = new Questions();
  private List<QueueConnection> queues = List.of();
  private @Nullable Loop loop;
  private volatile @Nullable VsockService service;

  /**
   * @param guestCid 3 to 2^32 − 2
   * @param listener the microVM's socket, on which processes of the host connect; non-blocking, and
   *     owned from now on
   * @param dialer for where the guest connects to
   */
  public VsockDevice(String id, long guestCid, Fd listener, Dialer dialer) {
    this(id, guestCid, listener, dialer, new StreamSocket());
  }

  VsockDevice(String id, long guestCid, Fd listener, Dialer dialer, StreamSocket sockets) {
    this.id = id;
    this.guestCid = guestCid;
    this.listener = listener;
    this.dialer = dialer;
    this.sockets = sockets;
  }

  @Override
  public BackEnd backEnd() {
    return BackEnd.VSOCK_UNIX;
  }

  @Override
  public String id() {
    return id;
  }

  @Override
  public long features() {
    return Virtqueue.FEATURES | RING_RESET | STREAM;
  }

  /** Receive, transmit, and events, of which there is none before a guest is restored. */
  @Override
  public List<Integer> queueSizes() {
    return List.of(QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE);
  }

  @Override
  public RequestKind requestKind(int queue) {
    return switch (queue) {
      case RX -> RequestKind.RECEIVE;
      case TX -> RequestKind.TRANSMIT;
      default -> RequestKind.EVENT;
    };
  }

  @Override
  public int configLength() {
    return CONFIG_LENGTH;
  }

  @Override
  public byte readConfig(int offset) {
    return (byte) (guestCid >>> (Byte.SIZE * offset));
  }

  @Override
  public void connect(List<QueueConnection> connections) {
    queues = connections;
  }

  @Override
  public void activate(Activation activation) {
    try (ServingLock _ = serving.take()) {
      if (loop == null) {
        loop = new Loop();
      }
      service =
          new VsockService(
              guestCid,
              listener,
              dialer,
              questions,
              loop.poller,
              sockets,
              counters,
              activation,
              queues,
              QUEUE_SIZE);
      activation.startQueues(this);
    }
  }

  @Override
  public void startQueue(int index, Virtqueue queue, Activation activation) {
    try (ServingLock _ = serving.take()) {
      VsockService current = service;
      if (current != null) {
        current.startQueue(index, queue);
        requireNonNull(loop).wake();
      }
    }
  }

  @Override
  public void stopQueue(int index) {
    try (ServingLock _ = serving.take()) {
      VsockService current = service;
      if (current != null) {
        current.stopQueue(index);
      }
    }
  }

  @Override
  public void deactivate() {
    try (ServingLock _ = serving.take()) {
      if (service != null) {
        service.close();
        service = null;
      }
    }
  }

  /**
   * The worker's answer to {@link Dialer#dial}.
   *
   * @param socket connected; this device's from now on. Null if nobody listens there
   */
  public void dialed(int key, @Nullable Fd socket) {
    try (ServingLock _ = serving.take()) {
      questions.answered();
      if (service != null) {
        service.dialed(key, socket);
        requireNonNull(loop).wake();
      } else if (socket != null) {
        socket.close();
      }
    }
  }

  /** There will be no more answers to what was dialed. */
  public void workerLost() {
    try (ServingLock _ = serving.take()) {
      questions.workerLost();
      if (service != null) {
        service.workerLost();
        requireNonNull(loop).wake();
      }
    }
  }

  private void failed(VsockService current, Throwable cause) {
    service = null;
    try {
      current.close();
    } catch (RuntimeException | Error e) {
      cause.addSuppressed(e);
    }
    current.needsReset(cause);
  }

  /** How many there are now is no counter: it goes down too. */
  @Override
  public Map<String, String> attributes() {
    VsockService current = service;
    return Map.of("connections", Integer.toString(current == null ? 0 : current.connections()));
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
    if (loop != null) {
      loop.close();
    }
    listener.close();
  }

  /** The device's thread, which outlives resets. */
  private final class Loop implements Runnable, AutoCloseable {
    private static final int NEWS = Poller.READABLE | Poller.EDGE_TRIGGERED;

    private final Poller poller = new Poller(MAX_EVENTS);
    private final Thread thread;
    private volatile boolean closed;

    Loop() {
      poller.add(listener, NEWS, LISTENER);
      poller.add(queues.get(RX).notifier().fd(), NEWS, RX_NOTIFIER);
      poller.add(queues.get(TX).notifier().fd(), NEWS, TX_NOTIFIER);
      thread = Thread.ofPlatform().name("vsock " + id).daemon().start(this);
    }

    void wake() {
      queues.get(TX).notifier().signal();
    }

    @Override
    public void run() {
      boolean more = false;
      while (true) {
        int ready = poller.await(more ? 0 : -1);
        if (closed) {
          return;
        }
        try (ServingLock _ = serving.take()) {
          more = turn(ready, service);
        }
      }
    }

    /** Whatever goes wrong ends in DEVICE_NEEDS_RESET, not in the end of the thread. */
    private boolean turn(int ready, @Nullable VsockService current) {
      try {
        for (int i = 0; i < ready; i++) {
          note(poller.key(i), poller.readiness(i), current);
        }
        return current != null && current.serve();
      } catch (RuntimeException | Error e) {
        if (current != null) {
          failed(current, e);
        }
        return false;
      }
    }

    private void note(int key, int readiness, @Nullable VsockService current) {
      switch (key) {
        // Not drained: an edge is told of whatever the count is.
        case RX_NOTIFIER -> queues.get(RX).counters().notified();
        case TX_NOTIFIER -> queues.get(TX).counters().notified();
        case LISTENER -> {
          if (current != null) {
            current.connectionsWait();
          }
        }
        default -> {
          if (current != null) {
            current.ready(key, readiness);
          }
        }
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
