package dev.vireo.vmm.virtio.block;

import dev.vireo.linux.Errno;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.IoVector;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.QueueWorker;

/**
 * Answers the requests of one activation (VIRTIO 1.2, section 5.2.6): a readable header of 16
 * bytes, data, and a last writable byte for the status. One request at a time.
 */
final class BlockRequests implements QueueWorker.Handler {
  static final int SECTOR_BYTES = 512;
  static final int ID_BYTES = 20;

  // struct virtio_blk_req { le32 type; le32 reserved; le64 sector; u8 data[]; u8 status; }
  private static final int HEADER_BYTES = 16;
  private static final int HEADER_TYPE = 0;
  private static final int HEADER_SECTOR = 8;

  private static final int TYPE_IN = 0;
  private static final int TYPE_OUT = 1;
  private static final int TYPE_FLUSH = 4;
  private static final int TYPE_GET_ID = 8;

  private static final byte STATUS_OK = 0;
  private static final byte STATUS_IO_ERROR = 1;
  private static final byte STATUS_UNSUPPORTED = 2;

  private final RawFile file;
  private final byte[] id;
  private final boolean readOnly;
  private final boolean writeThrough;
  private final EnumCounters<BlockEvent> counters;
  private final IoVector vector;

  /**
   * @param id {@link #ID_BYTES} bytes
   * @param writeThrough the driver will not flush, so each write has to be durable when it is
   *     answered (5.2.6.2)
   * @param maxBuffers of a chain
   */
  BlockRequests(
      RawFile file,
      byte[] id,
      boolean readOnly,
      boolean writeThrough,
      EnumCounters<BlockEvent> counters,
      GuestMemory memory,
      int maxBuffers) {
    this.file = file;
    this.id = id;
    this.readOnly = readOnly;
    this.writeThrough = writeThrough;
    this.counters = counters;
    this.vector = new IoVector(memory, maxBuffers);
  }

  @Override
  public int handle(DescriptorChain chain) {
    if (chain.defect() != null) {
      return finish(chain, refuse(BlockEvent.ERRORS_DESCRIPTORS), 0);
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
      default -> {
        counters.increment(BlockEvent.REQUESTS_UNSUPPORTED);
        yield finish(chain, STATUS_UNSUPPORTED, 0);
      }
    };
  }

  private int read(DescriptorChain chain, long sector) {
    counters.increment(BlockEvent.REQUESTS_READ);
    long bytes = chain.writableBytes() - 1;
    byte status = checkRange(sector, bytes);
    if (status == STATUS_OK) {
      vector.clear();
      chain.gatherWritable(0, bytes, vector);
      status = outcome(file.read(vector, sector * SECTOR_BYTES), BlockEvent.BYTES_READ, bytes);
    }
    return finish(chain, status, status == STATUS_OK ? bytes : 0);
  }

  private int write(DescriptorChain chain, long sector) {
    counters.increment(BlockEvent.REQUESTS_WRITE);
    long bytes = chain.readableBytes() - HEADER_BYTES;
    byte status = readOnly ? refuse(BlockEvent.ERRORS_READ_ONLY) : checkRange(sector, bytes);
    if (status == STATUS_OK) {
      vector.clear();
      chain.gatherReadable(HEADER_BYTES, bytes, vector);
      int error = file.write(vector, sector * SECTOR_BYTES);
      if (error == RawFile.OK && writeThrough) {
        error = file.flush();
      }
      status = outcome(error, BlockEvent.BYTES_WRITTEN, bytes);
    }
    return finish(chain, status, 0);
  }

  private int flush(DescriptorChain chain) {
    counters.increment(BlockEvent.REQUESTS_FLUSH);
    return finish(chain, outcome(file.flush(), BlockEvent.BYTES_WRITTEN, 0), 0);
  }

  /** 5.2.6: a string of up to 20 bytes, not terminated if it has all of them. */
  private int getId(DescriptorChain chain) {
    counters.increment(BlockEvent.REQUESTS_GET_ID);
    if (chain.writableBytes() - 1 < ID_BYTES) {
      return finish(chain, malformed(), 0);
    }
    chain.write(0, id);
    return finish(chain, STATUS_OK, ID_BYTES);
  }

  /**
   * Whole sectors, all of them below the capacity. {@code sector} is unsigned and may be anything.
   */
  private byte checkRange(long sector, long bytes) {
    if (bytes % SECTOR_BYTES != 0) {
      return malformed();
    }
    long sectors = file.capacityBytes() / SECTOR_BYTES;
    if (sector < 0 || sector > sectors - bytes / SECTOR_BYTES) {
      return refuse(BlockEvent.ERRORS_OUT_OF_RANGE);
    }
    return STATUS_OK;
  }

  private byte outcome(int error, BlockEvent transferred, long bytes) {
    return switch (error) {
      case RawFile.OK -> {
        counters.add(transferred, bytes);
        yield STATUS_OK;
      }
      case Errno.ENOSPC -> refuse(BlockEvent.ERRORS_NO_SPACE);
      default -> refuse(BlockEvent.ERRORS_INPUT_OUTPUT);
    };
  }

  private byte malformed() {
    return refuse(BlockEvent.ERRORS_MALFORMED);
  }

  private byte refuse(BlockEvent reason) {
    counters.increment(reason);
    return STATUS_IO_ERROR;
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
