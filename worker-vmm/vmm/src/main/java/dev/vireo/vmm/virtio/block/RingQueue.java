package dev.vireo.vmm.virtio.block;

import dev.vireo.linux.IoUring;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.backend.RingTransfers;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.QueueServer;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.QueueSignals;
import dev.vireo.vmm.virtio.queue.Threads;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import org.jspecify.annotations.Nullable;

/**
 * A queue whose transfers are all under way at once, by io_uring, and are answered in the order in
 * which they end. Its thread sleeps in one system call, which hands over what is new and waits for
 * a result; the driver's notification is one too.
 */
final class RingQueue implements QueueServer {
  /**
   * Handed over at once. Twice as many results fit, and so always those of a whole queue, of the
   * notification and of the time: a kernel whose results do not fit takes nothing more.
   */
  static final int OPERATIONS = BlockDevice.QUEUE_SIZE;

  private static final long NOTIFIED = -1;
  private static final long TIME_IS_UP = -2;

  private final Disk disk;
  private final QueueConnection connection;
  private final IoUring ring;
  private final Thread thread;

  private volatile boolean stopping;
  private volatile boolean closed;
  private volatile @Nullable Service service;
  private @Nullable Throwable failure;
  // Of the thread alone.
  private boolean listening;
  private boolean waitsForTime;

  /**
   * @param ring stays its owner's, and is used by no other queue
   */
  RingQueue(String name, Disk disk, QueueConnection connection, IoUring ring) {
    this.disk = disk;
    this.connection = connection;
    this.ring = ring;
    this.thread = Thread.ofPlatform().name(name).daemon().start(new Loop());
  }

  @Override
  public void start(Virtqueue queue, Activation activation) {
    synchronized (this) {
      if (failure != null) {
        throw new IllegalStateException("nobody serves this queue any more", failure);
      }
      stopping = false;
      service = new Service(queue, activation);
    }
    connection.notifier().signal();
  }

  @Override
  public void stop() {
    boolean interrupted = false;
    synchronized (this) {
      stopping = true;
      connection.notifier().signal();
      while (service != null) {
        try {
          wait();
        } catch (InterruptedException e) {
          interrupted = true; // The memory goes after this: there is no leaving early.
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void close() {
    stop();
    closed = true;
    connection.notifier().signal();
    Threads.awaitEnd(thread);
  }

  private final class Loop implements Runnable {
    @Override
    public void run() {
      try {
        serveUntilClosed();
      } catch (RuntimeException | Error e) {
        giveUp(e);
      }
    }

    private void serveUntilClosed() {
      while (!closed) {
        if (!listening) {
          ring.drain(connection.notifier(), NOTIFIED);
          listening = true;
        }
        ring.submit(ring.hasCompletion() ? 0 : 1);
        Service current = service;
        takeResults(current);
        if (current != null) {
          boolean last = stopping;
          current.serve();
          if (last) {
            endIfIdle(current);
          }
        }
      }
    }
  }

  private void takeResults(@Nullable Service current) {
    while (ring.hasCompletion()) {
      long tag = ring.tag();
      int result = ring.result();
      ring.advance();
      if (tag == NOTIFIED) {
        listening = false;
        connection.counters().notified();
      } else if (tag == TIME_IS_UP) {
        waitsForTime = false;
      } else if (current != null) {
        current.take((int) tag, result);
      }
    }
  }

  private synchronized void endIfIdle(Service current) {
    if (current.transfers.underWay() == 0) {
      current.transfers.close();
      service = null;
      notifyAll();
    }
  }

  /**
   * The ring itself fails: nobody is served from now on, and nobody waits for what is under way.
   */
  private synchronized void giveUp(Throwable cause) {
    try {
      Service current = service;
      if (current != null) {
        current.fail(cause);
      }
    } finally {
      failure = cause;
      service = null;
      notifyAll();
    }
  }

  /** One activation. */
  private final class Service implements Transfers {
    private final Virtqueue queue;
    private final GuestMemory memory;
    private final QueueSignals signals;
    private final DescriptorChain chain;
    private final BlockRequests requests;
    private final RingTransfers transfers;
    // Of the request in a slot: what is needed to answer it.
    private final int[] heads;
    private final long[] statusAddresses;
    private final long[] dataRoom;
    private final long[] bytes;
    private final boolean[] reads;
    private boolean broken;

    Service(Virtqueue queue, Activation activation) {
      int slots = queue.size();
      this.queue = queue;
      this.memory = activation.memory();
      this.signals = activation.signals();
      this.chain = new DescriptorChain(memory, slots);
      this.requests = new BlockRequests(disk, activation.features(), this);
      this.heads = new int[slots];
      this.statusAddresses = new long[slots];
      this.dataRoom = new long[slots];
      this.bytes = new long[slots];
      this.reads = new boolean[slots];
      this.transfers = new RingTransfers(disk.file(), ring, memory, slots); // Last: it is closed.
    }

    /** Takes all that is new, unless it is to stop, and tells of all that is done. */
    void serve() {
      if (broken) {
        return;
      }
      try {
        tell(); // First, so that the driver goes on meanwhile.
        if (!stopping) {
          takeRequests();
        }
      } catch (RuntimeException | Error e) {
        fail(e);
      }
    }

    private void takeRequests() {
      do {
        queue.disableNotifications();
        while (queue.hasMore() && mayGoOn() && queue.pop(chain)) {
          int written = requests.handle(chain);
          if (written != PENDING) {
            answer(chain.head(), written);
          }
        }
        tell();
      } while (!stopping
          && !waitsForTime
          && transfers.mayBegin() // If not, the next result has us look again.
          && queue.enableNotifications());
    }

    /** Shows the driver what was answered. */
    private void tell() {
      queue.publishUsed();
      connection.interruptIfWanted(queue, signals);
    }

    private boolean mayGoOn() {
      if (stopping || waitsForTime || !transfers.mayBegin()) {
        return false;
      }
      long nanos = requests.waitNanos();
      if (nanos > 0) {
        waitsForTime = true;
        ring.timeout(nanos, TIME_IS_UP);
      }
      return nanos == 0;
    }

    private void answer(int head, int written) {
      queue.addUsed(head, written);
      connection.counters().requestDone();
    }

    /** A result of the request in a slot. It is told of by the next {@link #serve}. */
    void take(int slot, int result) {
      boolean ended = true;
      try {
        int error = transfers.take(slot, result);
        ended = error != RingTransfers.PENDING;
        if (ended && !broken) {
          end(slot, error);
        }
      } catch (RuntimeException | Error e) { // It cannot go on, so it has ended.
        fail(e);
      } finally {
        if (ended) {
          transfers.release(slot);
        }
      }
    }

    /** What is under way ends, unheard. */
    private void fail(Throwable cause) {
      broken = true;
      signals.needsReset(cause);
    }

    private void end(int slot, int error) {
      byte status = disk.outcomes().of(error);
      disk.outcomes()
          .count(
              reads[slot] ? BlockEvent.BYTES_READ : BlockEvent.BYTES_WRITTEN, bytes[slot], status);
      memory.putByte(statusAddresses[slot], status);
      long written = status == BlockOutcomes.OK && reads[slot] ? bytes[slot] : 0;
      answer(heads[slot], (int) (written == dataRoom[slot] ? written + 1 : written));
    }

    private int next(DescriptorChain request, long length, boolean read) {
      int slot = transfers.next();
      heads[slot] = request.head();
      statusAddresses[slot] = request.lastAddress();
      dataRoom[slot] = request.writableBytes() - 1;
      bytes[slot] = length;
      reads[slot] = read;
      return slot;
    }

    @Override
    public int read(DescriptorChain request, long offset, long length) {
      if (length == 0) {
        return RawFile.OK;
      }
      int slot = next(request, length, true);
      int buffers = request.count() - request.readableCount();
      request.gatherWritable(0, length, transfers.emptyVector(slot, buffers));
      transfers.read(slot, offset);
      return PENDING;
    }

    @Override
    public int write(
        DescriptorChain request, long from, long offset, long length, boolean durable) {
      if (length == 0) {
        return RawFile.OK;
      }
      int slot = next(request, length, false);
      int buffers = request.readableCount();
      request.gatherReadable(from, length, transfers.emptyVector(slot, buffers));
      transfers.write(slot, offset, durable);
      return PENDING;
    }

    @Override
    public int flush(DescriptorChain request) {
      transfers.flush(next(request, 0, false));
      return PENDING;
    }
  }
}
