package dev.vireo.vmm.memory;

/**
 * Where memory can be plugged into a guest: a range of guest physical addresses in blocks, any of
 * which is memory or is not.
 *
 * @param base guest physical address of the first block
 * @param bytes of all blocks
 * @param blockBytes of one, a power of two that divides the other two
 */
public record HotplugLayout(long base, long bytes, long blockBytes) {
  /** For which a bitmap has 128 KiB. */
  public static final int MAX_BLOCKS = 1 << 20;

  /**
   * @throws IllegalArgumentException if it is none
   */
  public HotplugLayout {
    if (Long.bitCount(blockBytes) != 1
        || blockBytes < GuestMemory.PAGE_BYTES
        || base < 0
        || base % blockBytes != 0
        || bytes < blockBytes
        || bytes % blockBytes != 0
        || bytes / blockBytes > MAX_BLOCKS
        || base > Long.MAX_VALUE - bytes) {
      throw new IllegalArgumentException(
          "%d bytes in blocks of %d from 0x%x on".formatted(bytes, blockBytes, base));
    }
  }

  /** How many. */
  public int blocks() {
    return (int) (bytes / blockBytes);
  }

  /** The guest physical address after the last block. */
  public long end() {
    return base + bytes;
  }
}
