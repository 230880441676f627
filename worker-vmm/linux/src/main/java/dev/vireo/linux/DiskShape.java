package dev.vireo.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * How a file or block device that is to be a disk wants to be used, as the kernel tells it.
 *
 * @param bytes its size
 * @param logicalBlockBytes the smallest transfer, a power of two from 512
 * @param physicalBlockBytes what is written without reading first, a power of two
 * @param memoryAlignment of addresses with O_DIRECT, a power of two
 * @param blockDevice not a file of a file system
 * @param discards ranges can be given back
 */
public record DiskShape(
    long bytes,
    int logicalBlockBytes,
    int physicalBlockBytes,
    int memoryAlignment,
    boolean blockDevice,
    boolean discards) {
  private static final int SECTOR_BYTES = 512;
  private static final int PAGE_BYTES = 4096;

  // linux/stat.h, linux/fcntl.h: struct statx { u32 stx_mask; u32 stx_blksize; …
  private static final int AT_EMPTY_PATH = 0x1000;
  private static final int STATX_BYTES = 256;
  private static final int STATX_BLKSIZE = 4;
  private static final int STATX_DIOALIGN = 0x2000;
  private static final int STATX_DIO_MEM_ALIGN = 0x98;
  private static final int STATX_DIO_OFFSET_ALIGN = 0x9c;
  private static final int MAX_BLOCK_BYTES = 1 << 16;

  // linux/fs.h.
  private static final long BLKSSZGET = 0x1268;
  private static final long BLKPBSZGET = 0x127b;
  private static final long BLKDISCARD = 0x1277;

  /**
   * @param direct the disk is used with O_DIRECT, and so in blocks at least
   * @throws LinuxException if the kernel does not tell
   */
  public static DiskShape of(Fd disk, boolean direct) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment statx = arena.allocate(STATX_BYTES, 8);
      Linux.check(
          Linux.libc()
              .statx(
                  disk.number(),
                  Linux.cString(arena, ""),
                  AT_EMPTY_PATH,
                  STATX_DIOALIGN,
                  statx.address()),
          "statx");
      return disk.type() == Fd.Type.BLOCK_DEVICE
          ? ofBlockDevice(disk, statx, arena)
          : ofFile(disk, statx, direct);
    }
  }

  private static DiskShape ofFile(Fd disk, MemorySegment statx, boolean direct) {
    int logical = direct ? told(statx, STATX_DIO_OFFSET_ALIGN, PAGE_BYTES) : SECTOR_BYTES;
    logical = Math.max(SECTOR_BYTES, logical);
    int preferred = statx.get(ValueLayout.JAVA_INT, STATX_BLKSIZE);
    int physical = isPowerUpTo(MAX_BLOCK_BYTES, preferred) ? preferred : PAGE_BYTES;
    return new DiskShape(
        disk.size(),
        logical,
        Math.max(logical, physical),
        told(statx, STATX_DIO_MEM_ALIGN, PAGE_BYTES),
        false,
        true);
  }

  private static DiskShape ofBlockDevice(Fd disk, MemorySegment statx, Arena arena) {
    MemorySegment number = arena.allocate(4, 4);
    disk.ioctl(BLKSSZGET, number, "ioctl BLKSSZGET");
    int logical = number.get(ValueLayout.JAVA_INT, 0);
    disk.ioctl(BLKPBSZGET, number, "ioctl BLKPBSZGET");
    int physical = number.get(ValueLayout.JAVA_INT, 0);
    return new DiskShape(
        disk.size(),
        logical,
        Math.max(logical, physical),
        told(statx, STATX_DIO_MEM_ALIGN, logical),
        true,
        canDiscard(disk, arena));
  }

  /**
   * A range that starts within a sector is refused by every device, but only after it was asked
   * whether it can discard at all (blk_ioctl_discard).
   */
  private static boolean canDiscard(Fd disk, Arena arena) {
    MemorySegment range = arena.allocate(16, 8);
    range.set(ValueLayout.JAVA_LONG, 0, 1);
    range.set(ValueLayout.JAVA_LONG, 8, SECTOR_BYTES);
    return Linux.libc().ioctl(disk.number(), BLKDISCARD, range.address()) == -1
        && Linux.errno() == Errno.EINVAL;
  }

  /** An alignment, which kernels before 6.1 and some file systems do not tell. */
  private static int told(MemorySegment statx, int field, int otherwise) {
    boolean known = (statx.get(ValueLayout.JAVA_INT, 0) & STATX_DIOALIGN) != 0;
    int alignment = statx.get(ValueLayout.JAVA_INT, field);
    return known && isPowerUpTo(MAX_BLOCK_BYTES, alignment) ? alignment : otherwise;
  }

  private static boolean isPowerUpTo(int most, int value) {
    return value > 0 && value <= most && Integer.bitCount(value) == 1;
  }
}
