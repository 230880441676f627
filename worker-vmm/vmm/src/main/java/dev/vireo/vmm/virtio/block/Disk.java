package dev.vireo.vmm.virtio.block;

import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.RawFile;

/**
 * What the queues of a disk share.
 *
 * @param id the guest can ask for its first 20 bytes
 */
record Disk(
    String id, RawFile file, boolean readOnly, RateLimiter limiter, BlockOutcomes outcomes) {}
