package dev.vireo.vmm.virtio.queue;

/**
 * The driver broke the rules of the ring in a way that leaves nothing to return: the device needs a
 * reset.
 */
public final class VirtqueueException extends RuntimeException {
  private static final long serialVersionUID = 1;

  /** What was wrong; section numbers are of VIRTIO 1.2. */
  public enum Fault {
    /** Not a power of two from 1 to 32,768 (2.7). */
    QUEUE_SIZE,
    /** Descriptor table, available or used ring not aligned to 16, 2 or 4 bytes (2.7). */
    RING_ALIGNMENT,
    /** A ring is not wholly in one region of guest memory. */
    RING_OUTSIDE_MEMORY,
    /** The available index moved by more than the queue's size, or backwards (2.7.6). */
    AVAILABLE_INDEX,
    /** A chain's head is not below the queue's size. */
    HEAD_OUT_OF_RANGE,
    /** A head was offered again while its chain was still the device's. */
    HEAD_IN_USE,
    /** A descriptor names a next one that its table does not have. */
    NEXT_OUT_OF_RANGE,
    /**
     * More buffers than the queue's size, direct and indirect together; a loop ends here too
     * (2.7.5.3.1).
     */
    CHAIN_TOO_LONG,
    /** An indirect table that was not negotiated (2.7.5.3.1). */
    INDIRECT_NOT_NEGOTIATED,
    /** An indirect table within an indirect table (2.7.5.3.1). */
    INDIRECT_NESTED,
    /** A descriptor that is both indirect and continued (2.7.5.3.1). */
    INDIRECT_WITH_NEXT,
    /** An indirect table of no bytes, or not of whole descriptors (2.7.5.3). */
    INDIRECT_LENGTH,
    /** An indirect table that is not wholly in guest memory. */
    INDIRECT_OUTSIDE_MEMORY
  }

  private final Fault fault;

  VirtqueueException(Fault fault, String message) {
    super(fault + ": " + message);
    this.fault = fault;
  }

  public Fault fault() {
    return fault;
  }
}
