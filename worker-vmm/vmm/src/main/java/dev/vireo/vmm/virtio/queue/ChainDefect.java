package dev.vireo.vmm.virtio.queue;

/** Why a chain that can be walked and returned must not be used as a request. */
public enum ChainDefect {
  /** A buffer of no bytes, which means nothing (and which other devices have tripped over). */
  EMPTY_BUFFER,
  /**
   * A buffer that is not wholly in guest memory: in a hole, over an end, or on a device's
   * registers.
   */
  BUFFER_OUTSIDE_MEMORY,
  /** A device-readable buffer after a device-writable one (section 2.7.4.2). */
  READABLE_AFTER_WRITABLE,
  /** More than 2^32 − 1 bytes in all (section 2.7.4.2). */
  TOO_MANY_BYTES
}
