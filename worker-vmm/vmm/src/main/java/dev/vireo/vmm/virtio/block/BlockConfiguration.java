package dev.vireo.vmm.virtio.block;

import dev.vireo.vmm.backend.DiskGeometry;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The configuration space of a disk (VIRTIO 1.2, section 5.2.4, struct virtio_blk_config), up to
 * the fields for zeroes. Fields of features that are not offered are 0.
 */
final class BlockConfiguration {
  static final int LENGTH = 60;

  private static final int CAPACITY = 0;
  private static final int SEG_MAX = 12;
  private static final int BLK_SIZE = 20;
  private static final int PHYSICAL_BLOCK_EXP = 24;
  private static final int MIN_IO_SIZE = 26;
  private static final int NUM_QUEUES = 34;
  private static final int MAX_DISCARD_SECTORS = 36;
  private static final int MAX_DISCARD_SEG = 40;
  private static final int DISCARD_SECTOR_ALIGNMENT = 44;
  private static final int MAX_WRITE_ZEROES_SECTORS = 48;
  private static final int MAX_WRITE_ZEROES_SEG = 52;
  private static final int WRITE_ZEROES_MAY_UNMAP = 56;

  private BlockConfiguration() {}

  static byte[] of(DiskGeometry geometry, long features, int queues, int queueSize) {
    int logical = geometry.logicalBlockBytes();
    int perPhysical = geometry.physicalBlockBytes() / logical;
    ByteBuffer config =
        ByteBuffer.allocate(LENGTH)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(CAPACITY, geometry.capacityBytes() / DiskGeometry.SECTOR_BYTES)
            // Header and status take a descriptor each, and a chain has no more than the queue's
            // size.
            .putInt(SEG_MAX, queueSize - 2)
            .putInt(BLK_SIZE, logical)
            .put(PHYSICAL_BLOCK_EXP, (byte) Integer.numberOfTrailingZeros(perPhysical))
            .putShort(MIN_IO_SIZE, (short) perPhysical);
    if ((features & BlockFeature.MQ) != 0) {
      config.putShort(NUM_QUEUES, (short) queues);
    }
    if ((features & BlockFeature.DISCARD) != 0) {
      config
          .putInt(MAX_DISCARD_SECTORS, RangeRequests.MAX_DISCARD_SECTORS)
          .putInt(MAX_DISCARD_SEG, RangeRequests.MAX_RANGES)
          .putInt(
              DISCARD_SECTOR_ALIGNMENT, geometry.physicalBlockBytes() / DiskGeometry.SECTOR_BYTES);
    }
    if ((features & BlockFeature.WRITE_ZEROES) != 0) {
      config
          .putInt(MAX_WRITE_ZEROES_SECTORS, RangeRequests.MAX_WRITE_ZEROES_SECTORS)
          .putInt(MAX_WRITE_ZEROES_SEG, RangeRequests.MAX_RANGES)
          .put(WRITE_ZEROES_MAY_UNMAP, (byte) (geometry.discards() ? 1 : 0));
    }
    return config.array();
  }
}
