package dev.vireo.vmm.virtio.block;

import dev.vireo.linux.Errno;
import dev.vireo.vmm.backend.DiskGeometry;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.RequestDescription;

/**
 * Discards and zeroes: requests whose data says which ranges of the disk they mean (VIRTIO 1.2,
 * section 5.2.6). All ranges are read, once, and checked before the first is touched. For one
 * thread at a time.
 */
final class RangeRequests {
  /** Of a request. */
  static final int MAX_RANGES = 32;

  /** Of a range: 2 GiB. A hole is made in no time, whatever its size. */
  static final int MAX_DISCARD_SECTORS = 1 << 22;

  /** Of a range: 64 MiB. Some hosts have to write them, and a reset waits for it. */
  static final int MAX_WRITE_ZEROES_SECTORS = 1 << 17;

  // struct virtio_blk_discard_write_zeroes { le64 sector; le32 num_sectors; le32 flags; }
  private static final int RANGE_BYTES = 16;
  private static final int RANGE_SECTORS = 8;
  private static final int RANGE_FLAGS = 12;
  private static final int FLAG_UNMAP = 1;

  private final RawFile file;
  private final BlockOutcomes outcomes;
  private final long[] sectors = new long[MAX_RANGES];
  private final int[] counts = new int[MAX_RANGES];
  private final boolean[] unmap = new boolean[MAX_RANGES];

  RangeRequests(RawFile file, BlockOutcomes outcomes) {
    this.file = file;
    this.outcomes = outcomes;
  }

  /**
   * @param header bytes before the ranges
   * @return the request's status
   */
  byte discard(DescriptorChain chain, int header) {
    int ranges = countOf(chain, header);
    // 5.2.6.2: "the device MUST set the status byte to VIRTIO_BLK_S_UNSUPP for discard commands if
    // the unmap flag is set", and if any unknown flag is.
    byte status = take(chain, header, ranges, MAX_DISCARD_SECTORS, 0);
    for (int i = 0; i < ranges && status == BlockOutcomes.OK; i++) {
      status = outcome(file.discard(bytes(sectors[i]), bytes(counts[i])));
      outcomes.count(BlockEvent.BYTES_DISCARDED, bytes(counts[i]), status);
    }
    return status;
  }

  /** As well. */
  byte writeZeroes(DescriptorChain chain, int header, boolean durable) {
    int ranges = countOf(chain, header);
    byte status = take(chain, header, ranges, MAX_WRITE_ZEROES_SECTORS, FLAG_UNMAP);
    for (int i = 0; i < ranges && status == BlockOutcomes.OK; i++) {
      boolean mayDiscard = unmap[i] && file.geometry().discards();
      status = outcome(file.writeZeroes(bytes(sectors[i]), bytes(counts[i]), mayDiscard));
      outcomes.count(BlockEvent.BYTES_ZEROED, bytes(counts[i]), status);
    }
    return status == BlockOutcomes.OK && durable ? outcome(file.flush()) : status;
  }

  /** Where the first range is, and how much all of them are. */
  static void describe(DescriptorChain chain, int header, RequestDescription description) {
    int ranges = countOf(chain, header);
    long sum = 0;
    for (int i = 0; i < ranges; i++) {
      long range = header + (long) i * RANGE_BYTES;
      if (i == 0) {
        description.offset(bytes(chain.getLong(range)));
      }
      sum += bytes(Integer.toUnsignedLong(chain.getInt(range + RANGE_SECTORS)));
    }
    description.bytes(sum);
  }

  /** How many ranges the request has, or 0 for an illegal length. */
  private static int countOf(DescriptorChain chain, int header) {
    long bytes = chain.readableBytes() - header;
    return bytes % RANGE_BYTES == 0 && bytes <= (long) MAX_RANGES * RANGE_BYTES
        ? (int) (bytes / RANGE_BYTES)
        : 0;
  }

  private byte take(DescriptorChain chain, int header, int ranges, int maxSectors, int allowed) {
    if (ranges == 0) {
      return outcomes.refuse(BlockEvent.ERRORS_MALFORMED);
    }
    long capacity = file.geometry().capacityBytes() / DiskGeometry.SECTOR_BYTES;
    for (int i = 0; i < ranges; i++) {
      long at = header + (long) i * RANGE_BYTES;
      long sector = chain.getLong(at);
      int count = chain.getInt(at + RANGE_SECTORS);
      int flags = chain.getInt(at + RANGE_FLAGS);
      if ((flags & ~allowed) != 0) {
        return outcomes.unsupported();
      }
      // The count is unsigned, and so is the sector.
      if (count < 0 || count > maxSectors) {
        return outcomes.refuse(BlockEvent.ERRORS_MALFORMED);
      }
      if (sector < 0 || sector > capacity - count) {
        return outcomes.refuse(BlockEvent.ERRORS_OUT_OF_RANGE);
      }
      sectors[i] = sector;
      counts[i] = count;
      unmap[i] = (flags & FLAG_UNMAP) != 0;
    }
    return BlockOutcomes.OK;
  }

  /** What the host's file cannot do is not the guest's error. */
  private byte outcome(int error) {
    return error == Errno.EOPNOTSUPP ? outcomes.unsupported() : outcomes.of(error);
  }

  private static long bytes(long sectors) {
    return sectors * DiskGeometry.SECTOR_BYTES;
  }
}
