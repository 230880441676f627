package dev.vireo.oci;

import static dev.vireo.images.ImageException.Reason.DISK_FULL;

import dev.vireo.images.ImageException;
import dev.vireo.images.container.ContainerImageCache.FreeSpace;
import java.io.IOException;
import java.util.concurrent.atomic.AtomicLong;

/** Ends what would leave less of a disk than others on it need. */
final class DiskFloor {
  private static final long MIB = 1 << 20;

  /** As a worker leaves beside an archive. */
  private static final long FLOOR_MIB = 128;

  /** Between two looks at the disk. */
  private static final long STEP_BYTES = 4 * MIB;

  private final FreeSpace freeSpace;
  private final AtomicLong written = new AtomicLong();
  private final AtomicLong reserved = new AtomicLong();

  DiskFloor(FreeSpace freeSpace) {
    this.freeSpace = freeSpace;
  }

  /** For what is not written to a disk. */
  static DiskFloor none() {
    return new DiskFloor(() -> Long.MAX_VALUE);
  }

  /**
   * So many bytes more are written. Quick.
   *
   * @throws ImageException DISK_FULL
   */
  void advance(long bytes) throws IOException, ImageException {
    if (written.addAndGet(bytes) >= STEP_BYTES) {
      written.set(0);
      require();
    }
  }

  /**
   * So many bytes more will be written at the end, when nobody looks. Quick.
   *
   * @throws ImageException DISK_FULL
   */
  void reserve(long bytes) throws IOException, ImageException {
    reserved.addAndGet(bytes);
    advance(bytes);
  }

  /**
   * Looks now.
   *
   * @throws ImageException DISK_FULL
   */
  void require() throws IOException, ImageException {
    long free = freeSpace.bytes() - reserved.get();
    if (free < FLOOR_MIB * MIB) {
      throw new ImageException(
          DISK_FULL,
          "the disk of the image cache has %d MiB left, and %d MiB are to stay free; vireo image prune"
                  .formatted(free / MIB, FLOOR_MIB)
              + " --keep-free makes room");
    }
  }
}
