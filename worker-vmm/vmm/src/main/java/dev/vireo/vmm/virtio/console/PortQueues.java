package dev.vireo.vmm.virtio.console;

import dev.vireo.vmm.memory.IoVector;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.LiveQueue;
import dev.vireo.vmm.virtio.queue.QueueSignals;

/**
 * A port's two queues, for as long as one driver uses them (VIRTIO 1.2, section 5.3.6): what comes
 * from the client goes into the guest's buffers, and the guest's to the client, without a copy of
 * ours between.
 */
final class PortQueues {
  /** Chains of one port before the others have their turn. */
  private static final int TURN = 16;

  /** What one buffer takes at most, however large it is: nobody waits for it longer. */
  private static final int MAX_RECEIVED = 64 << 10;

  private final Port port;
  private final HostSocket host;
  private final ConsoleContext context;
  private final IoVector vector;
  private final LiveQueue rx;
  private final LiveQueue tx;
  private boolean rxStarves;
  private boolean rxLimited;
  private boolean txLimited;

  /** What the chain taken has to say. */
  private long txBytes;

  /** Bytes of the chain taken that the client has. */
  private long txDone;

  /**
   * @param rx to the guest
   * @param tx from the guest
   * @param vector large enough for a chain
   */
  PortQueues(Port port, LiveQueue rx, LiveQueue tx, IoVector vector, ConsoleContext context) {
    this.port = port;
    this.host = port.host();
    this.rx = rx;
    this.tx = tx;
    this.vector = vector;
    this.context = context;
  }

  void interruptIfWanted(QueueSignals signals) {
    rx.interruptIfWanted(signals);
    tx.interruptIfWanted(signals);
  }

  /** Whether it was needless: there is something to do already. */
  boolean asksForNotifications() {
    boolean rxNews = rxStarves && rx.enableNotifications();
    boolean txNews = !tx.isHolding() && !txLimited && tx.enableNotifications();
    return rxNews || txNews;
  }

  // ---- From the guest. ----

  /** Takes what the guest writes; returns whether there may be more. */
  boolean transmit() {
    tx.disableNotifications();
    for (int n = 0; n < TURN; n++) {
      if (!tx.isHolding() && !takeOutput()) {
        return false;
      }
      long before = txDone;
      passOn();
      if (txDone == txBytes) {
        tx.complete(0);
      } else if (txDone == before) {
        return false; // The client has to make room.
      }
    }
    return true;
  }

  private boolean takeOutput() {
    txLimited = tx.hasMore() && context.isLimited(context.toHost(), txLimited);
    if (txLimited || !tx.take()) {
      return false;
    }
    DescriptorChain chain = tx.chain();
    txDone = 0;
    txBytes = isFaulty(chain, chain.writableBytes()) ? 0 : chain.readableBytes();
    context.toHost().charge(txBytes);
    return true;
  }

  /**
   * To the client what it has room for; if it is not to be waited for, the rest where it is kept.
   */
  private void passOn() {
    if (txDone < txBytes && port.sendsDirectly() && !host.isFull()) {
      vector.clear();
      tx.chain().gatherReadable(txDone, txBytes - txDone, vector);
      txDone += host.send(vector);
      if (port.sendsDirectly() && !host.isFull()) {
        return;
      }
    }
    if (txDone < txBytes && !port.holdsUp()) {
      port.keep(tx.chain(), txDone);
      txDone = txBytes;
    }
  }

  /**
   * 5.3.6.1: "The driver MUST NOT put a device-readable buffer in a receiveq. The driver MUST NOT
   * put a device-writable buffer in a transmitq."
   */
  private boolean isFaulty(DescriptorChain chain, long wrongBytes) {
    if (chain.defect() != null) {
      context.count(ConsoleEvent.ERRORS_DESCRIPTORS);
      return true;
    }
    if (wrongBytes > 0) {
      context.count(ConsoleEvent.ERRORS_MALFORMED);
      return true;
    }
    return false;
  }

  // ---- To the guest. ----

  /** Gives the guest what the client has sent; returns whether there may be more. */
  boolean deliver() {
    if (!rx.hasRing()) {
      return false;
    }
    rx.disableNotifications();
    for (int n = 0; n < TURN; n++) {
      rxStarves &= host.mayReceive();
      if (!port.isOpen() || !host.mayReceive()) {
        return host.isDone();
      }
      rxLimited = context.isLimited(context.toGuest(), rxLimited);
      if (rxLimited) {
        return false;
      }
      if (!rx.isHolding() && !takeBuffer()) {
        return false;
      }
      if (rx.isHolding()) {
        long got = receive();
        if (got > 0) {
          rx.complete((int) got);
        }
      }
    }
    return true;
  }

  /** The next buffer, which is returned at once if it is of no use; false if there is none. */
  private boolean takeBuffer() {
    if (!rx.take()) {
      if (!rxStarves) {
        context.count(ConsoleEvent.STALLS_OF_GUEST);
      }
      rxStarves = true;
      return false;
    }
    rxStarves = false;
    if (isFaulty(rx.chain(), rx.chain().readableBytes())) {
      rx.complete(0);
    }
    return true;
  }

  private long receive() {
    vector.clear();
    DescriptorChain chain = rx.chain();
    chain.gatherWritable(0, Math.min(chain.writableBytes(), MAX_RECEIVED), vector);
    long got = host.receive(vector);
    if (got > 0) {
      context.toGuest().charge(got);
      context.count(ConsoleEvent.BYTES_TO_GUEST, got);
    }
    return got;
  }
}
