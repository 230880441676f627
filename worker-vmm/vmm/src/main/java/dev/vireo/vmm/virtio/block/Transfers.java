package dev.vireo.vmm.virtio.block;

import dev.vireo.vmm.virtio.queue.DescriptorChain;

/** Moves the data of requests between a disk's file and guest memory, at once or later. */
interface Transfers {
  /** The answer comes later. */
  int PENDING = -1;

  /**
   * Reads into the first {@code bytes} writable bytes of the chain.
   *
   * @return an error number, {@link dev.vireo.vmm.backend.RawFile#OK}, or {@link #PENDING}
   */
  int read(DescriptorChain chain, long offset, long bytes);

  /**
   * Writes the {@code bytes} readable bytes from {@code from} on.
   *
   * @param durable when it is answered
   */
  int write(DescriptorChain chain, long from, long offset, long bytes, boolean durable);

  /** Makes durable what was answered. */
  int flush(DescriptorChain chain);
}
