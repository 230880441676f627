package dev.vireo.linux;

import java.lang.foreign.MemorySegment;

/**
 * Memory from {@code mmap(2)}, unmapped by {@link #close}. The segment has no bounds in time: who
 * closes sees to it that nobody uses it any more.
 */
public final class MemoryMapping implements AutoCloseable {
  /** {@code madvise(2)}: private pages go, and are zeroed ones when they are touched again. */
  public static final int MADV_DONTNEED = 4;

  /** {@code madvise(2)}: pages of a shared file in memory go, for all who have it mapped. */
  public static final int MADV_REMOVE = 9;

  /** {@code madvise(2)}: not part of a core dump. */
  public static final int MADV_DONTDUMP = 16;

  private static final int PROT_READ = 1;
  private static final int PROT_READ_WRITE = PROT_READ | 2;
  private static final int MAP_SHARED = 1;
  private static final int MAP_PRIVATE = 2;
  private static final int MAP_FIXED = 0x10;
  private static final int MAP_ANONYMOUS = 0x20;
  private static final int MAP_NORESERVE = 0x4000;
  private static final int NO_FD = -1;

  private final MemorySegment segment;
  private boolean mapped = true;

  private MemoryMapping(long address, long bytes) {
    this.segment = MemorySegment.ofAddress(address).reinterpret(bytes);
  }

  /** Zeroed private memory, taken from the host page by page as it is touched. */
  public static MemoryMapping anonymous(long bytes) {
    return map(bytes, PROT_READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, NO_FD, 0);
  }

  /**
   * As {@link #anonymous}, from an address on that {@code alignment}, a power of two and a multiple
   * of a page, divides.
   */
  public static MemoryMapping anonymousAligned(long bytes, long alignment) {
    MemoryMapping wider = anonymous(bytes + alignment);
    long start = wider.segment.address();
    long aligned = (start + alignment - 1) & -alignment;
    if (aligned > start) {
      unmap(start, aligned - start);
    }
    unmap(aligned + bytes, start + alignment - aligned);
    return new MemoryMapping(aligned, bytes);
  }

  /** A file's bytes, shared with everybody who maps it. */
  public static MemoryMapping shared(Fd fd, long offset, long bytes) {
    return map(bytes, PROT_READ_WRITE, MAP_SHARED, fd.number(), offset);
  }

  /** As {@link #shared}, but whoever writes through this mapping dies of it. */
  public static MemoryMapping sharedReadOnly(Fd fd, long offset, long bytes) {
    return map(bytes, PROT_READ, MAP_SHARED, fd.number(), offset);
  }

  private static MemoryMapping map(long bytes, int protection, int flags, int fd, long offset) {
    long address = Linux.libc().mmap(0, bytes, protection, flags, fd, offset);
    return new MemoryMapping(Linux.check(address, "mmap of " + bytes + " bytes"), bytes);
  }

  /** The memory, page-aligned. */
  public MemorySegment segment() {
    return segment;
  }

  /** {@code madvise(2)} on the whole. */
  public void advise(int advice) {
    advise(segment.address(), segment.byteSize(), advice);
  }

  /**
   * {@code madvise(2)} on a part of a mapping.
   *
   * @param address in this process, of a page's first byte
   */
  public static void advise(long address, long bytes, int advice) {
    Linux.check(Linux.libc().madvise(address, bytes, advice), "madvise");
  }

  /**
   * {@code MAP_FIXED}: maps other bytes of a file at the same address, read-only and shared. Who
   * reads there meanwhile, a guest too, sees all of the old or all of the new pages, and never
   * none.
   */
  public synchronized void replaceReadOnly(Fd fd, long offset) {
    if (!mapped) {
      throw new IllegalStateException("unmapped");
    }
    Linux.check(
        Linux.libc()
            .mmap(
                segment.address(),
                segment.byteSize(),
                PROT_READ,
                MAP_SHARED | MAP_FIXED,
                fd.number(),
                offset),
        "mmap of " + segment.byteSize() + " bytes over others");
  }

  /**
   * {@code MAP_FIXED}: from now on a part of this is a file's bytes, shared.
   *
   * @param at bytes from the start; a multiple of the file's pages, as {@code bytes} is
   */
  public synchronized void replacePart(long at, long bytes, Fd fd, long offset) {
    replacePart(at, bytes, MAP_SHARED, fd.number(), offset);
  }

  /**
   * {@code MAP_FIXED}: from now on a part of this is zeroed private memory, as if it had been made
   * by {@link #anonymous}.
   */
  public synchronized void clearPart(long at, long bytes) {
    replacePart(at, bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, NO_FD, 0);
  }

  private void replacePart(long at, long bytes, int flags, int fd, long offset) {
    if (!mapped || at < 0 || bytes <= 0 || at > segment.byteSize() - bytes) {
      throw new IllegalStateException("no part of it: " + bytes + " bytes at " + at);
    }
    Linux.check(
        Linux.libc()
            .mmap(segment.address() + at, bytes, PROT_READ_WRITE, flags | MAP_FIXED, fd, offset),
        "mmap of " + bytes + " bytes over others");
  }

  /** Unmaps. Idempotent. */
  @Override
  public synchronized void close() {
    if (mapped) {
      mapped = false;
      unmap(segment.address(), segment.byteSize());
    }
  }

  private static void unmap(long address, long bytes) {
    Linux.check(Linux.libc().munmap(address, bytes), "munmap");
  }
}
