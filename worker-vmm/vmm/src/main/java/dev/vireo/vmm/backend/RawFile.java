package dev.vireo.vmm.backend;

import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.Libc;
import dev.vireo.linux.Linux;
import dev.vireo.vmm.memory.IoVector;

/**
 * A raw file or block device: byte <i>n</i> of the disk is byte <i>n</i> of the file, never probed
 * for any format. Transfers go straight between the file and guest memory. Results are error
 * numbers, not exceptions: a full file system is the guest's business.
 */
public final class RawFile implements AutoCloseable {
  /** Everything was transferred. */
  public static final int OK = 0;

  private static final int SECTOR_BYTES = 512;

  private final Libc libc;
  private final Fd fd;
  private final long capacityBytes;

  /**
   * @param fd opened as the disk's read-only property says; owned from now on
   * @param capacityBytes what the guest may reach, a multiple of 512
   */
  public RawFile(Fd fd, long capacityBytes) {
    this(Linux.libc(), fd, capacityBytes);
  }

  /** As above, with the system calls made by {@code libc}. */
  public RawFile(Libc libc, Fd fd, long capacityBytes) {
    if (capacityBytes < 0 || capacityBytes % SECTOR_BYTES != 0) {
      throw new IllegalArgumentException("capacity of %d bytes".formatted(capacityBytes));
    }
    this.libc = libc;
    this.fd = fd;
    this.capacityBytes = capacityBytes;
  }

  public long capacityBytes() {
    return capacityBytes;
  }

  /**
   * Reads from {@code offset} into all of {@code vector}, which is used up.
   *
   * @return {@link #OK}, or an error number; {@link Errno#EIO} if the file ends first
   */
  public int read(IoVector vector, long offset) {
    long position = offset;
    while (vector.bytes() > 0) {
      long count =
          vector.count() == 1
              ? libc.pread(fd.number(), vector.firstAddress(), vector.firstLength(), position)
              : libc.preadv(fd.number(), vector.address(), vector.count(), position);
      if (count > 0) {
        vector.skip(count);
        position += count;
      } else if (count == 0) {
        return Errno.EIO;
      } else if (Linux.errno() != Errno.EINTR) {
        return Linux.errno();
      }
    }
    return OK;
  }

  /**
   * Writes all of {@code vector}, which is used up, from {@code offset} on.
   *
   * @return {@link #OK}, or an error number; some bytes may have been written then
   */
  public int write(IoVector vector, long offset) {
    long position = offset;
    while (vector.bytes() > 0) {
      long count =
          vector.count() == 1
              ? libc.pwrite(fd.number(), vector.firstAddress(), vector.firstLength(), position)
              : libc.pwritev(fd.number(), vector.address(), vector.count(), position);
      if (count > 0) {
        vector.skip(count);
        position += count;
      } else if (count == 0) {
        return Errno.EIO;
      } else if (Linux.errno() != Errno.EINTR) {
        return Linux.errno();
      }
    }
    return OK;
  }

  /**
   * Makes durable what was written.
   *
   * @return {@link #OK}, or an error number
   */
  public int flush() {
    return libc.fdatasync(fd.number()) == 0 ? OK : Linux.errno();
  }

  @Override
  public void close() {
    fd.close();
  }
}
