package dev.vireo.vmm.virtio.rng;

import dev.vireo.vmm.backend.HostRandom;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.IoVector;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.QueueWorker;

/**
 * Fills the buffers of one activation (VIRTIO 1.2, section 5.4.6): chains that the device may write
 * and that have no header.
 */
final class EntropyRequests implements QueueWorker.Handler {
  /**
   * 5.4.6.2: the device "MUST place one or more random bytes into the buffer, but it MAY use less
   * than the entire buffer length". So a buffer of gigabytes costs no more than this, and holds up
   * neither a reset nor the host.
   */
  static final int MAX_BYTES = 64 << 10;

  private final HostRandom random;
  private final RateLimiter limiter;
  private final EnumCounters<EntropyEvent> counters;
  private final IoVector vector;

  /**
   * @param maxBuffers of a chain
   */
  EntropyRequests(
      HostRandom random,
      RateLimiter limiter,
      EnumCounters<EntropyEvent> counters,
      GuestMemory memory,
      int maxBuffers) {
    this.random = random;
    this.limiter = limiter;
    this.counters = counters;
    this.vector = new IoVector(memory, maxBuffers);
  }

  @Override
  public long waitNanos() {
    long nanos = limiter.waitNanos();
    if (nanos > 0) {
      counters.increment(EntropyEvent.RATE_LIMITED);
    }
    return nanos;
  }

  @Override
  public int handle(DescriptorChain chain) {
    counters.increment(EntropyEvent.REQUESTS);
    if (chain.defect() != null) {
      counters.increment(EntropyEvent.ERRORS_DESCRIPTORS);
      return 0;
    }
    // 5.4.6.1: "The driver MUST NOT place driver-readable buffers into the queue."
    if (chain.readableBytes() > 0 || chain.writableBytes() == 0) {
      counters.increment(EntropyEvent.ERRORS_MALFORMED);
      return 0;
    }
    return fill(chain);
  }

  private int fill(DescriptorChain chain) {
    long wanted = Math.min(chain.writableBytes(), MAX_BYTES);
    vector.clear();
    chain.gatherWritable(0, wanted, vector);
    limiter.charge(wanted);
    random.fill(vector);
    if (vector.bytes() > 0) {
      counters.increment(EntropyEvent.ERRORS_INPUT_OUTPUT);
    }
    long filled = wanted - vector.bytes();
    counters.add(EntropyEvent.BYTES, filled);
    return (int) filled;
  }
}
