package dev.vireo.vmm.virtio.mmio;

import dev.vireo.linux.EventFd;
import dev.vireo.linux.Poller;
import dev.vireo.vmm.virtio.queue.Threads;
import java.util.ArrayList;
import java.util.List;

/**
 * The thread that clears InterruptStatus after acknowledgements that KVM took and that no further
 * event has cleared yet. It waits for a first one, sleeps a millisecond, and takes all that there
 * are: however many interrupts come, it costs a thousand wake-ups a second at most, and none where
 * no driver acknowledges any.
 */
public final class AcknowledgementSweep implements AutoCloseable {
  private static final int MAX_READY = 32;
  private static final int CLOSING = -1;
  private static final long PERIOD_MILLIS = 1;

  private final List<LazyInterruptRegisters> swept = new ArrayList<>();
  private final Poller poller = new Poller(MAX_READY);
  private final EventFd closing = EventFd.nonBlocking();
  private final Thread thread;
  private volatile boolean closed;

  public AcknowledgementSweep() {
    poller.add(closing.fd(), Poller.READABLE, CLOSING);
    thread = Thread.ofPlatform().name("acknowledgements").daemon().unstarted(new Loop());
  }

  /** Sweeps these too. Before {@link #start}. */
  public void add(LazyInterruptRegisters registers) {
    poller.add(registers.acknowledgements().fd(), Poller.READABLE, swept.size());
    swept.add(registers);
  }

  /** Starts the thread. Once. */
  public void start() {
    thread.start();
  }

  private final class Loop implements Runnable {
    @Override
    public void run() {
      try {
        while (true) {
          int ignored = poller.await(-1);
          if (closed) {
            return;
          }
          Thread.sleep(PERIOD_MILLIS);
          takeWhatIsThere();
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt(); // Nobody does.
      }
    }
  }

  private void takeWhatIsThere() {
    int ready = poller.await(0);
    for (int i = 0; i < ready; i++) {
      if (poller.key(i) != CLOSING) {
        swept.get(poller.key(i)).takeAcknowledgements();
      }
    }
  }

  /** Ends the thread; when it returns, no page is written any more. Idempotent. */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    closing.signal();
    Threads.awaitEnd(thread);
    poller.close();
    closing.close();
  }
}
