package dev.vireo.vmm.virtio.block;

import dev.vireo.vmm.backend.DiskGeometry;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.QueueWorker;
import dev.vireo.vmm.virtio.queue.RequestDescription;
import dev.vireo.vmm.virtio.queue.RequestKind;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Answers the requests of one queue (VIRTIO 1.2, section 5.2.6): a readable header of 16 bytes,
 * data, and a last writable byte for the status. A transfer may be answered later: then {@link
 * #handle} says {@link Transfers#PENDING}.
 */
final class BlockRequests implements QueueWorker.Handler {
  private static final int ID_BYTES = 20;

  // struct virtio_blk_req { le32 type; le32 reserved; le64 sector; u8 data[]; u8 status; }
  private static final int HEADER_BYTES = 16;
  private static final int HEADER_TYPE = 0;
  private static final int HEADER_SECTOR = 8;

  private static final int TYPE_IN = 0;
  private static final int TYPE_OUT = 1;
  private static final int TYPE_FLUSH = 4;
  private static final int TYPE_GET_ID = 8;
  private static final int TYPE_DISCARD = 11;
  private static final int TYPE_WRITE_ZEROES = 13;

  private static final long NO_OFFSET = RequestDescription.NO_OFFSET;

  private static final byte STATUS_OK = BlockOutcomes.OK;

  private final Disk disk;
  private final byte[] id;
  private final long features;
  private final boolean writeThrough;
  private final long capacitySectors;
  private final RateLimiter limiter;
  private final BlockOutcomes outcomes;
  private final RangeRequests ranges;
  private final Transfers transfers;

  /**
   * @param features what was negotiated; without FLUSH the driver cannot flush, and each write has
   *     to be durable when it is answered (5.2.6.2)
   */
  BlockRequests(Disk disk, long features, Transfers transfers) {
    this.disk = disk;
    this.id = Arrays.copyOf(disk.id().getBytes(StandardCharsets.UTF_8), ID_BYTES);
    this.features = features;
    this.writeThrough = (features & BlockFeature.FLUSH) == 0;
    this.capacitySectors = disk.file().geometry().capacityBytes() / DiskGeometry.SECTOR_BYTES;
    this.limiter = disk.limiter();
    this.outcomes = disk.outcomes();
    this.ranges = new RangeRequests(disk.file(), outcomes);
    this.transfers = transfers;
  }

  @Override
  public long waitNanos() {
    long nanos = limiter.waitNanos();
    if (nanos > 0) {
      outcomes.count(BlockEvent.RATE_LIMITED);
    }
    return nanos;
  }

  @Override
  public int handle(DescriptorChain chain) {
    if (chain.defect() != null) {
      return finish(chain, outcomes.refuse(BlockEvent.ERRORS_DESCRIPTORS), 0);
    }
    if (chain.readableBytes() < HEADER_BYTES || chain.writableBytes() < 1) {
      return finish(chain, malformed(), 0);
    }
    long sector = chain.getLong(HEADER_SECTOR);
    return switch (chain.getInt(HEADER_TYPE)) {
      case TYPE_IN -> read(chain, sector);
      case TYPE_OUT -> write(chain, sector);
      case TYPE_FLUSH -> flush(chain);
      case TYPE_GET_ID -> getId(chain);
      case TYPE_DISCARD -> discard(chain);
      case TYPE_WRITE_ZEROES -> writeZeroes(chain);
      default -> finish(chain, outcomes.unsupported(), 0);
    };
  }

  private int read(DescriptorChain chain, long sector) {
    outcomes.count(BlockEvent.REQUESTS_READ);
    long bytes = chain.writableBytes() - 1;
    limiter.charge(bytes);
    byte status = checkRange(sector, bytes);
    if (status == STATUS_OK) {
      int error = transfers.read(chain, sector * DiskGeometry.SECTOR_BYTES, bytes);
      if (error == Transfers.PENDING) {
        return Transfers.PENDING;
      }
      status = outcomes.of(error);
      outcomes.count(BlockEvent.BYTES_READ, bytes, status);
    }
    return finish(chain, status, status == STATUS_OK ? bytes : 0);
  }

  private int write(DescriptorChain chain, long sector) {
    outcomes.count(BlockEvent.REQUESTS_WRITE);
    long bytes = chain.readableBytes() - HEADER_BYTES;
    limiter.charge(bytes);
    byte status = disk.readOnly() ? readOnly() : checkRange(sector, bytes);
    if (status == STATUS_OK) {
      long offset = sector * DiskGeometry.SECTOR_BYTES;
      int error = transfers.write(chain, HEADER_BYTES, offset, bytes, writeThrough);
      if (error == Transfers.PENDING) {
        return Transfers.PENDING;
      }
      status = outcomes.of(error);
      outcomes.count(BlockEvent.BYTES_WRITTEN, bytes, status);
    }
    return finish(chain, status, 0);
  }

  private int flush(DescriptorChain chain) {
    outcomes.count(BlockEvent.REQUESTS_FLUSH);
    limiter.charge(0);
    int error = transfers.flush(chain);
    return error == Transfers.PENDING ? Transfers.PENDING : finish(chain, outcomes.of(error), 0);
  }

  /** 5.2.6: a string of up to 20 bytes, not terminated if it has all of them. */
  private int getId(DescriptorChain chain) {
    outcomes.count(BlockEvent.REQUESTS_GET_ID);
    if (chain.writableBytes() - 1 < ID_BYTES) {
      return finish(chain, malformed(), 0);
    }
    chain.write(0, id);
    return finish(chain, STATUS_OK, ID_BYTES);
  }

  private int discard(DescriptorChain chain) {
    if (disk.readOnly()) {
      return finish(chain, readOnly(), 0);
    }
    if ((features & BlockFeature.DISCARD) == 0) {
      return finish(chain, outcomes.unsupported(), 0);
    }
    outcomes.count(BlockEvent.REQUESTS_DISCARD);
    limiter.charge(0);
    return finish(chain, ranges.discard(chain, HEADER_BYTES), 0);
  }

  private int writeZeroes(DescriptorChain chain) {
    if (disk.readOnly()) {
      return finish(chain, readOnly(), 0);
    }
    if ((features & BlockFeature.WRITE_ZEROES) == 0) {
      return finish(chain, outcomes.unsupported(), 0);
    }
    outcomes.count(BlockEvent.REQUESTS_WRITE_ZEROES);
    limiter.charge(0);
    return finish(chain, ranges.writeZeroes(chain, HEADER_BYTES, writeThrough), 0);
  }

  /** What a chain without a defect asks for; also of one that will be refused. */
  static void describe(DescriptorChain chain, RequestDescription description) {
    if (chain.readableBytes() < HEADER_BYTES || chain.writableBytes() < 1) {
      return;
    }
    description.endsInStatus();
    long offset = chain.getLong(HEADER_SECTOR) * DiskGeometry.SECTOR_BYTES;
    switch (chain.getInt(HEADER_TYPE)) {
      case TYPE_IN -> describe(description, RequestKind.READ, chain.writableBytes() - 1, offset);
      case TYPE_OUT ->
          describe(description, RequestKind.WRITE, chain.readableBytes() - HEADER_BYTES, offset);
      case TYPE_FLUSH -> describe(description, RequestKind.FLUSH, 0, NO_OFFSET);
      case TYPE_GET_ID -> describe(description, RequestKind.GET_ID, ID_BYTES, NO_OFFSET);
      case TYPE_DISCARD -> {
        description.kind(RequestKind.DISCARD);
        RangeRequests.describe(chain, HEADER_BYTES, description);
      }
      case TYPE_WRITE_ZEROES -> {
        description.kind(RequestKind.WRITE_ZEROES);
        RangeRequests.describe(chain, HEADER_BYTES, description);
      }
      default -> {}
    }
  }

  private static void describe(
      RequestDescription description, RequestKind kind, long bytes, long offset) {
    description.kind(kind);
    description.bytes(bytes);
    description.offset(offset);
  }

  /**
   * Whole sectors, all of them below the capacity. {@code sector} is unsigned and may be anything.
   */
  private byte checkRange(long sector, long bytes) {
    if (bytes % DiskGeometry.SECTOR_BYTES != 0) {
      return malformed();
    }
    if (sector < 0 || sector > capacitySectors - bytes / DiskGeometry.SECTOR_BYTES) {
      return outcomes.refuse(BlockEvent.ERRORS_OUT_OF_RANGE);
    }
    return STATUS_OK;
  }

  private byte malformed() {
    return outcomes.refuse(BlockEvent.ERRORS_MALFORMED);
  }

  private byte readOnly() {
    return outcomes.refuse(BlockEvent.ERRORS_READ_ONLY);
  }

  /**
   * Writes the status, if there is room for it.
   *
   * @param dataWritten bytes written from the start of the writable part
   * @return how many of its first bytes are written for sure, the status among them if nothing is
   *     left out before it (2.7.8.2)
   */
  private static int finish(DescriptorChain chain, byte status, long dataWritten) {
    boolean told = chain.writeLast(status);
    return (int) (told && dataWritten == chain.writableBytes() - 1 ? dataWritten + 1 : dataWritten);
  }
}
