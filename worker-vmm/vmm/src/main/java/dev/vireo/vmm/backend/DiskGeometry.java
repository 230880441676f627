package dev.vireo.vmm.backend;

/**
 * How large a disk is and how it wants to be used, as whoever opened it found out.
 *
 * @param capacityBytes what the guest may reach, a multiple of 512
 * @param logicalBlockBytes what it transfers at least: 512 or a larger power of two. With O_DIRECT,
 *     offsets and lengths must be multiples
 * @param physicalBlockBytes what it writes without reading first, not less than the logical block
 * @param memoryAlignment of a transfer's addresses with O_DIRECT, a power of two
 * @param blockDevice not a file of a file system
 * @param discards gives back ranges that are no longer needed
 */
public record DiskGeometry(
    long capacityBytes,
    int logicalBlockBytes,
    int physicalBlockBytes,
    int memoryAlignment,
    boolean blockDevice,
    boolean discards) {
  public static final int SECTOR_BYTES = 512;

  private static final int PAGE_BYTES = 4096;

  /**
   * @throws IllegalArgumentException if a disk cannot be like that
   */
  public DiskGeometry {
    if (capacityBytes < 0
        || capacityBytes % SECTOR_BYTES != 0
        || !isBlock(logicalBlockBytes)
        || !isBlock(physicalBlockBytes)
        || physicalBlockBytes < logicalBlockBytes
        || Integer.bitCount(memoryAlignment) != 1) {
      throw new IllegalArgumentException(
          "capacity of %d bytes, blocks of %d and %d, memory aligned to %d"
              .formatted(capacityBytes, logicalBlockBytes, physicalBlockBytes, memoryAlignment));
    }
  }

  private static boolean isBlock(int bytes) {
    return bytes >= SECTOR_BYTES && Integer.bitCount(bytes) == 1;
  }

  /** A file in the page cache of the host, which takes anything and writes pages. */
  public static DiskGeometry ofFile(long capacityBytes) {
    return new DiskGeometry(capacityBytes, SECTOR_BYTES, PAGE_BYTES, 1, false, true);
  }
}
