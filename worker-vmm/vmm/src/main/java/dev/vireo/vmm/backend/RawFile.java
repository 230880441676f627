package dev.vireo.vmm.backend;

import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.IoUring;
import dev.vireo.linux.Libc;
import dev.vireo.linux.Linux;
import dev.vireo.linux.LinuxException;
import dev.vireo.vmm.memory.IoVector;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/**
 * A raw file or block device: byte <i>n</i> of the disk is byte <i>n</i> of the file, never probed
 * for any format. Transfers go straight between the file and guest memory. Results are error
 * numbers, not exceptions: a full file system is the guest's business. Any thread may use it.
 */
public final class RawFile implements AutoCloseable {
  /** Everything was transferred. */
  public static final int OK = 0;

  // linux/fs.h; the argument is { u64 start; u64 length; }, in bytes.
  private static final long BLKDISCARD = 0x1277;
  private static final long BLKZEROOUT = 0x127f;
  private static final int RANGE_BYTES = 16;

  // linux/falloc.h: zero the range, and keep its blocks.
  private static final int FALLOC_FL_ZERO_RANGE = 0x10;

  private static final int ZEROES_BYTES = 64 << 10;

  private final Libc libc;
  private final Fd fd;
  private final @Nullable Fd cached;
  private final DiskGeometry geometry;

  /**
   * A file in the host's page cache.
   *
   * @param fd opened as the disk's read-only property says; owned from now on
   * @param capacityBytes what the guest may reach, a multiple of 512
   */
  public RawFile(Fd fd, long capacityBytes) {
    this(Linux.libc(), fd, null, DiskGeometry.ofFile(capacityBytes));
  }

  /**
   * @param fd opened as the disk's read-only property says; owned from now on
   * @param cached the same file without O_DIRECT if {@code fd} has it: for transfers that O_DIRECT
   *     does not take. Owned too
   */
  public RawFile(Fd fd, @Nullable Fd cached, DiskGeometry geometry) {
    this(Linux.libc(), fd, cached, geometry);
  }

  /** As above, with the system calls made by {@code libc}. */
  public RawFile(Libc libc, Fd fd, @Nullable Fd cached, DiskGeometry geometry) {
    this.libc = libc;
    this.fd = fd;
    this.cached = cached;
    this.geometry = geometry;
  }

  public DiskGeometry geometry() {
    return geometry;
  }

  /** The bytes go past the host's page cache. */
  public boolean isDirect() {
    return cached != null;
  }

  /**
   * The descriptor for a transfer. Of a direct disk, one that is not made of whole blocks goes
   * through the page cache, which the kernel keeps consistent with direct transfers.
   */
  public int number(IoVector vector, long offset) {
    return (cached == null || isOfWholeBlocks(vector, offset) ? fd : cached).number();
  }

  private boolean isOfWholeBlocks(IoVector vector, long offset) {
    return ((offset | vector.lengthBits()) & (geometry.logicalBlockBytes() - 1)) == 0
        && (vector.addressBits() & (geometry.memoryAlignment() - 1)) == 0;
  }

  /** The descriptor for what is not a transfer. */
  public int number() {
    return fd.number();
  }

  /**
   * A ring for transfers of this file.
   *
   * @throws LinuxException if the host has none for this process
   */
  public IoUring newRing(int operations) {
    return IoUring.create(libc, operations);
  }

  /**
   * Reads from {@code offset} into all of {@code vector}, which is used up.
   *
   * @return {@link #OK}, or an error number; {@link Errno#EIO} if the file ends first
   */
  public int read(IoVector vector, long offset) {
    long position = offset;
    while (vector.bytes() > 0) {
      int number = number(vector, position);
      long count =
          vector.count() == 1
              ? libc.pread(number, vector.firstAddress(), vector.firstLength(), position)
              : libc.preadv(number, vector.address(), vector.count(), position);
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
      int number = number(vector, position);
      long count =
          vector.count() == 1
              ? libc.pwrite(number, vector.firstAddress(), vector.firstLength(), position)
              : libc.pwritev(number, vector.address(), vector.count(), position);
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

  /**
   * Gives a range back to the host; what it reads as afterwards is open.
   *
   * @return {@link #OK}, or an error number: {@link Errno#EOPNOTSUPP} if it cannot
   */
  public int discard(long offset, long length) {
    return geometry.blockDevice()
        ? onBlockDevice(BLKDISCARD, offset, length)
        : allocate(Fd.FALLOC_FL_PUNCH_HOLE, offset, length);
  }

  /**
   * Makes a range read as zeroes.
   *
   * @param mayDiscard its blocks need not stay
   * @return {@link #OK}, or an error number
   */
  public int writeZeroes(long offset, long length, boolean mayDiscard) {
    int error =
        geometry.blockDevice()
            ? onBlockDevice(BLKZEROOUT, offset, length)
            : zeroInFile(offset, length, mayDiscard);
    return error == Errno.EOPNOTSUPP ? zeroByWriting(offset, length) : error;
  }

  /** tmpfs has holes, but nothing that zeroes a range and keeps it. */
  private int zeroInFile(long offset, long length, boolean mayDiscard) {
    int first = mayDiscard ? Fd.FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
    int error = allocate(first, offset, length);
    if (error == Errno.EOPNOTSUPP && mayDiscard) {
      return allocate(FALLOC_FL_ZERO_RANGE, offset, length);
    }
    return error;
  }

  private int allocate(int mode, long offset, long length) {
    while (libc.fallocate(fd.number(), mode | Fd.FALLOC_FL_KEEP_SIZE, offset, length) == -1) {
      if (Linux.errno() != Errno.EINTR) {
        return Linux.errno();
      }
    }
    return OK;
  }

  private int onBlockDevice(long request, long offset, long length) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment range = arena.allocate(RANGE_BYTES, Long.BYTES);
      range.set(ValueLayout.JAVA_LONG, 0, offset);
      range.set(ValueLayout.JAVA_LONG, Long.BYTES, length);
      return libc.ioctl(fd.number(), request, range.address()) == 0 ? OK : Linux.errno();
    }
  }

  private int zeroByWriting(long offset, long length) {
    int number = (cached == null ? fd : cached).number();
    try (Arena arena = Arena.ofConfined()) {
      long zeroes = arena.allocate(ZEROES_BYTES).address();
      for (long done = 0; done < length; ) {
        long count =
            libc.pwrite(number, zeroes, Math.min(ZEROES_BYTES, length - done), offset + done);
        if (count > 0) {
          done += count;
        } else if (count == 0) {
          return Errno.EIO;
        } else if (Linux.errno() != Errno.EINTR) {
          return Linux.errno();
        }
      }
      return OK;
    }
  }

  @Override
  public void close() {
    fd.close();
    if (cached != null) {
      cached.close();
    }
  }
}
