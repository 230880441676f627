package dev.vireo.vmm.virtio.net;

import dev.vireo.linux.Errno;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.Tap;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.IoVector;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.QueueWorker;

/**
 * Sends the frames of one transmit queue in one activation (VIRTIO 1.2, section 5.1.6.2): a
 * readable header, which the host's kernel checks and heeds, and the frame. Every chain is
 * returned, its frame sent or not.
 */
final class Transmitter implements QueueWorker.Handler {
  /** Ethernet with a VLAN tag around the largest packet of IP, after the header. */
  private static final int LARGEST_BYTES = Tap.HEADER_BYTES + 18 + 65_535;

  private final QueuePair pair;
  private final Tap tap;
  private final Link link;
  private final RateLimiter limiter;
  private final EnumCounters<NetEvent> events;
  private final IoVector vector;

  /**
   * @param maxBuffers of a chain
   */
  Transmitter(
      QueuePair pair,
      Tap tap,
      Link link,
      RateLimiter limiter,
      EnumCounters<NetEvent> events,
      GuestMemory memory,
      int maxBuffers) {
    this.pair = pair;
    this.tap = tap;
    this.link = link;
    this.limiter = limiter;
    this.events = events;
    this.vector = new IoVector(memory, maxBuffers);
  }

  @Override
  public long waitNanos() {
    long nanos = limiter.waitNanos();
    if (nanos > 0) {
      events.increment(NetEvent.TX_RATE_LIMITED);
    }
    return nanos;
  }

  /** A frame's answer comes by the receiver's thread: no more frames, for more processor time. */
  @Override
  public boolean isWatched() {
    return false;
  }

  @Override
  public int handle(DescriptorChain chain) {
    if (chain.defect() != null) {
      events.increment(NetEvent.ERRORS_DESCRIPTORS);
    } else if (chain.writableBytes() != 0) {
      events.increment(NetEvent.ERRORS_DIRECTION);
    } else if (chain.readableBytes() <= Tap.HEADER_BYTES) {
      events.increment(NetEvent.ERRORS_TOO_SHORT);
    } else if (chain.readableBytes() > LARGEST_BYTES) {
      events.increment(NetEvent.ERRORS_TOO_LONG);
    } else if (!pair.enabled() || link.state() == Link.State.GONE) {
      events.increment(NetEvent.TX_DROPPED_LINK_DOWN);
    } else {
      send(chain);
    }
    return 0;
  }

  private void send(DescriptorChain chain) {
    long frameBytes = chain.readableBytes() - Tap.HEADER_BYTES;
    limiter.charge(frameBytes);
    vector.clear();
    chain.gatherReadable(0, chain.readableBytes(), vector);
    int result = tap.write(vector);
    if (result >= 0) {
      if (link.state() == Link.State.DOWN) { // A receiver would find out, but there may be none.
        link.up();
      }
      events.increment(NetEvent.TX_FRAMES);
      events.add(NetEvent.TX_BYTES, frameBytes);
    } else {
      notSent(-result);
    }
  }

  private void notSent(int error) {
    switch (error) {
      case Errno.EINVAL, Errno.EMSGSIZE -> events.increment(NetEvent.TX_REFUSED);
      case Errno.EIO -> {
        events.increment(NetEvent.TX_DROPPED_LINK_DOWN);
        link.down();
      }
      case Errno.EBADFD -> {
        events.increment(NetEvent.TX_DROPPED_LINK_DOWN);
        link.gone(Errno.describe(error));
      }
      default -> events.increment(NetEvent.TX_DROPPED_BY_HOST);
    }
  }
}
