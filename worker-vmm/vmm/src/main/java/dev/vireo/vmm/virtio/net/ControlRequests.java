package dev.vireo.vmm.virtio.net;

import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.QueueWorker;

/**
 * Answers the commands of the control queue (VIRTIO 1.2, section 5.1.6.5): how many pairs of queues
 * the driver uses, and what may be left undone to the frames it receives. Any other is refused.
 */
final class ControlRequests implements QueueWorker.Handler {
  /** Who carries them out. */
  interface Device {
    /** As many pairs as the device has. */
    int queuePairs();

    /** The first {@code count} pairs take part from now on; false if they cannot all. */
    boolean usePairs(int count);

    /**
     * Frames to the driver need no more than what {@code features}, GUEST ones, leave undone; false
     * if the interface is gone.
     */
    boolean setGuestOffloads(long features);
  }

  // struct virtio_net_ctrl { u8 class; u8 command; u8 command-specific-data[]; u8 ack; }
  private static final int CLASS = 0;
  private static final int COMMAND = 1;
  private static final int DATA = 2;

  private static final int CLASS_MQ = 4;
  private static final int MQ_VQ_PAIRS_SET = 0;

  private static final int CLASS_GUEST_OFFLOADS = 5;
  private static final int GUEST_OFFLOADS_SET = 0;

  private static final byte OK = 0;
  private static final byte ERROR = 1;

  private final Device device;
  private final long features;
  private final EnumCounters<NetEvent> events;

  /**
   * @param features what was negotiated
   */
  ControlRequests(Device device, long features, EnumCounters<NetEvent> events) {
    this.device = device;
    this.features = features;
    this.events = events;
  }

  @Override
  public int handle(DescriptorChain chain) {
    if (chain.defect() != null) {
      events.increment(NetEvent.ERRORS_DESCRIPTORS);
      chain.writeLast(ERROR);
      return 0;
    }
    boolean accepted = chain.writableBytes() > 0 && carryOut(chain);
    events.increment(accepted ? NetEvent.CONTROL_ACCEPTED : NetEvent.CONTROL_REFUSED);
    boolean told = chain.writeLast(accepted ? OK : ERROR);
    return told && chain.writableBytes() == 1 ? 1 : 0;
  }

  private boolean carryOut(DescriptorChain chain) {
    if (chain.readableBytes() < DATA) {
      return false;
    }
    return switch (chain.getByte(CLASS)) {
      case CLASS_MQ -> chain.getByte(COMMAND) == MQ_VQ_PAIRS_SET && setPairs(chain);
      case CLASS_GUEST_OFFLOADS ->
          chain.getByte(COMMAND) == GUEST_OFFLOADS_SET && setOffloads(chain);
      default -> false;
    };
  }

  /** 5.1.6.5.6: le16 virtqueue_pairs, 1 to max_virtqueue_pairs. */
  private boolean setPairs(DescriptorChain chain) {
    if (!has(NetFeature.MQ) || chain.readableBytes() != DATA + Short.BYTES) {
      return false;
    }
    int pairs =
        Byte.toUnsignedInt(chain.getByte(DATA)) | Byte.toUnsignedInt(chain.getByte(DATA + 1)) << 8;
    return pairs >= 1 && pairs <= device.queuePairs() && device.usePairs(pairs);
  }

  /** 5.1.6.5.8: le64 offloads, of those that were negotiated. */
  private boolean setOffloads(DescriptorChain chain) {
    if (!has(NetFeature.CTRL_GUEST_OFFLOADS) || chain.readableBytes() != DATA + Long.BYTES) {
      return false;
    }
    long offloads = chain.getLong(DATA);
    boolean negotiated = (offloads & ~(features & NetFeature.GUEST_OFFLOADS)) == 0;
    return negotiated && NetFeature.areConsistent(offloads) && device.setGuestOffloads(offloads);
  }

  private boolean has(long feature) {
    return (features & feature) != 0;
  }
}
