package dev.vireo.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A file descriptor that this object owns. Closing twice is harmless; using it after that fails
 * with {@link IllegalStateException} instead of reaching whatever file took its number.
 */
public final class Fd implements AutoCloseable {
  /** {@code open(2)} flags ({@code asm-generic/fcntl.h}). Close-on-exec is always added. */
  public static final int O_RDONLY = 0;

  public static final int O_WRONLY = 1;
  public static final int O_RDWR = 2;
  public static final int O_CREAT = 0100;
  public static final int O_EXCL = 0200;
  public static final int O_TRUNC = 01000;
  public static final int O_APPEND = 02000;
  public static final int O_NONBLOCK = 04000;
  public static final int O_DIRECTORY = Linux.X86_64 ? 0200000 : 040000;
  public static final int O_NOFOLLOW = Linux.X86_64 ? 0400000 : 0100000;
  public static final int O_DIRECT = Linux.X86_64 ? 040000 : 0200000;
  public static final int O_PATH = 010000000;

  /** {@code fallocate(2)} modes: free the range's blocks, and leave the file's size. */
  public static final int FALLOC_FL_KEEP_SIZE = 1;

  public static final int FALLOC_FL_PUNCH_HOLE = 2;

  static final int O_CLOEXEC = 02000000;

  private static final int F_SETFL = 4;
  private static final int F_DUPFD_CLOEXEC = 1030;
  private static final int F_ADD_SEALS = 1033;
  private static final int F_SEAL_SEAL = 1;
  private static final int F_SEAL_SHRINK = 2;
  private static final int F_SEAL_GROW = 4;

  // linux/memfd.h
  private static final int MFD_CLOEXEC = 1;
  private static final int MFD_ALLOW_SEALING = 2;
  private static final int MFD_HUGETLB = 4;
  private static final int MFD_HUGE_2MB = 21 << 26;
  private static final int AT_EMPTY_PATH = 0x1000;
  private static final int STATX_TYPE_AND_SIZE = 0x1 | 0x200;
  private static final int STATX_BYTES = 256;
  private static final int STATX_MODE = 28;
  private static final int STATX_SIZE = 40;
  private static final int BLKGETSIZE64 = 0x80081272;
  private static final int CLOSED = -1;

  /** What a file is ({@code S_IFMT} of {@code stat.h}). */
  public enum Type {
    REGULAR,
    DIRECTORY,
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    SOCKET,
    PIPE,
    SYMBOLIC_LINK,
    /** An eventfd, a pidfd, KVM's: files with no place in a file system. */
    ANONYMOUS
  }

  private final AtomicInteger number;

  private Fd(int number) {
    this.number = new AtomicInteger(number);
  }

  /** Takes ownership of an open descriptor. */
  public static Fd owning(int number) {
    if (number < 0) {
      throw new IllegalArgumentException("descriptor " + number);
    }
    return new Fd(number);
  }

  /** {@code open(2)}; {@code mode} counts with {@link #O_CREAT} only. */
  public static Fd open(String path, int flags, int mode) {
    try (Arena arena = Arena.ofConfined()) {
      long cPath = Linux.cString(arena, path);
      int fd;
      do {
        fd = Linux.libc().open(cPath, flags | O_CLOEXEC, mode);
      } while (fd == -1 && Linux.errno() == Errno.EINTR);
      return new Fd(Linux.check(fd, "open " + path));
    }
  }

  /** {@link #open(String, int, int)} of a file that exists. */
  public static Fd open(String path, int flags) {
    return open(path, flags, 0);
  }

  /** Anonymous memory as a file, {@code bytes} long. */
  public static Fd memory(String name, long bytes) {
    return memory(name, bytes, 0);
  }

  /**
   * Anonymous memory as a file whose length nobody can change: who maps it need not fear that a
   * part of it goes.
   */
  public static Fd sealedMemory(String name, long bytes) {
    return sealed(memory(name, bytes, MFD_ALLOW_SEALING));
  }

  /** As {@link #sealedMemory}, in huge pages of 2 MiB, of which {@code bytes} is a multiple. */
  public static Fd sealedHugeMemory(String name, long bytes) {
    return sealed(memory(name, bytes, MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_HUGE_2MB));
  }

  private static Fd memory(String name, long bytes, int flags) {
    try (Arena arena = Arena.ofConfined()) {
      long cName = Linux.cString(arena, name);
      Fd fd =
          new Fd(
              Linux.check(Linux.libc().memfd_create(cName, MFD_CLOEXEC | flags), "memfd_create"));
      try {
        fd.truncate(bytes);
        return fd;
      } catch (LinuxException e) {
        fd.close();
        throw e;
      }
    }
  }

  private static Fd sealed(Fd memory) {
    int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;
    try {
      Linux.check(Linux.libc().fcntl(memory.number(), F_ADD_SEALS, seals), "fcntl F_ADD_SEALS");
      return memory;
    } catch (LinuxException e) {
      memory.close();
      throw e;
    }
  }

  /**
   * The descriptor's number, for as long as this object is not closed.
   *
   * @throws IllegalStateException if it is closed
   */
  public int number() {
    int fd = number.get();
    if (fd == CLOSED) {
      throw new IllegalStateException("descriptor is closed");
    }
    return fd;
  }

  /** Gives the ownership away: the caller closes the number that is returned. */
  public int release() {
    int fd = number.getAndSet(CLOSED);
    if (fd == CLOSED) {
      throw new IllegalStateException("descriptor is closed");
    }
    return fd;
  }

  /** Another descriptor of the same open file. */
  public Fd duplicate() {
    return duplicate(0);
  }

  /** Another descriptor, numbered {@code atLeast} or higher. */
  Fd duplicate(int atLeast) {
    return new Fd(Linux.check(Linux.libc().fcntl(number(), F_DUPFD_CLOEXEC, atLeast), "fcntl dup"));
  }

  /** {@code read(2)}: bytes read, 0 at the end of file. Restarted if a signal interrupts it. */
  public int read(MemorySegment buffer) {
    long count;
    do {
      count = Linux.libc().read(number(), Linux.address(buffer), buffer.byteSize());
    } while (count == -1 && Linux.errno() == Errno.EINTR);
    return (int) Linux.check(count, "read");
  }

  /** {@code write(2)}: bytes written, which may be fewer than given. */
  public int write(MemorySegment buffer) {
    long count;
    do {
      count = Linux.libc().write(number(), Linux.address(buffer), buffer.byteSize());
    } while (count == -1 && Linux.errno() == Errno.EINTR);
    return (int) Linux.check(count, "write");
  }

  /** {@code pread(2)}: bytes read, 0 at the end of file. */
  public int read(MemorySegment buffer, long offset) {
    long count;
    do {
      count = Linux.libc().pread(number(), Linux.address(buffer), buffer.byteSize(), offset);
    } while (count == -1 && Linux.errno() == Errno.EINTR);
    return (int) Linux.check(count, "pread");
  }

  /** {@code pwrite(2)}: bytes written, which may be fewer than given. */
  public int write(MemorySegment buffer, long offset) {
    long count;
    do {
      count = Linux.libc().pwrite(number(), Linux.address(buffer), buffer.byteSize(), offset);
    } while (count == -1 && Linux.errno() == Errno.EINTR);
    return (int) Linux.check(count, "pwrite");
  }

  /** Reads until the buffer is full or the file ends; returns the bytes read. */
  public long readFully(MemorySegment buffer, long offset) {
    long done = 0;
    while (done < buffer.byteSize()) {
      int count = read(buffer.asSlice(done), offset + done);
      if (count == 0) {
        break;
      }
      done += count;
    }
    return done;
  }

  /** Writes all of the buffer. */
  public void writeFully(MemorySegment buffer, long offset) {
    long done = 0;
    while (done < buffer.byteSize()) {
      done += write(buffer.asSlice(done), offset + done);
    }
  }

  /** Writes all of the bytes at {@code offset}. */
  public void writeFully(byte[] bytes, long offset) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment copy = arena.allocate(bytes.length, 1);
      MemorySegment.copy(MemorySegment.ofArray(bytes), 0, copy, 0, bytes.length);
      writeFully(copy, offset);
    }
  }

  /** From now on nothing waits, here and wherever else the same open file is used. */
  public void setNonBlocking() {
    Linux.check(Linux.libc().fcntl(number(), F_SETFL, O_NONBLOCK), "fcntl O_NONBLOCK");
  }

  /** {@code fdatasync(2)}. */
  public void syncData() {
    Linux.check(Linux.libc().fdatasync(number()), "fdatasync");
  }

  /** {@code fsync(2)}. */
  public void sync() {
    Linux.check(Linux.libc().fsync(number()), "fsync");
  }

  /** {@code ftruncate(2)}. */
  public void truncate(long bytes) {
    Linux.check(Linux.libc().ftruncate(number(), bytes), "ftruncate");
  }

  /** {@code fallocate(2)}. */
  public void allocate(int mode, long offset, long length) {
    Linux.check(Linux.libc().fallocate(number(), mode, offset, length), "fallocate");
  }

  /** {@code ioctl(2)} with an argument by value. */
  public int ioctl(long request, long argument, String name) {
    return Linux.check(Linux.libc().ioctl(number(), request, argument), name);
  }

  /** {@code ioctl(2)} with the address of a structure. */
  public int ioctl(long request, MemorySegment argument, String name) {
    return ioctl(request, Linux.address(argument), name);
  }

  /** What kind of file this is. */
  public Type type() {
    try (Arena arena = Arena.ofConfined()) {
      int mode = statx(arena).get(ValueLayout.JAVA_SHORT, STATX_MODE);
      return switch (mode & 0170000) {
        case 0100000 -> Type.REGULAR;
        case 0040000 -> Type.DIRECTORY;
        case 0060000 -> Type.BLOCK_DEVICE;
        case 0020000 -> Type.CHARACTER_DEVICE;
        case 0140000 -> Type.SOCKET;
        case 0010000 -> Type.PIPE;
        case 0120000 -> Type.SYMBOLIC_LINK;
        default -> Type.ANONYMOUS;
      };
    }
  }

  /** Bytes in a file or on a block device. */
  public long size() {
    try (Arena arena = Arena.ofConfined()) {
      if (type() == Type.BLOCK_DEVICE) {
        MemorySegment bytes = arena.allocate(8, 8);
        ioctl(Integer.toUnsignedLong(BLKGETSIZE64), bytes, "ioctl BLKGETSIZE64");
        return bytes.get(ValueLayout.JAVA_LONG, 0);
      }
      return statx(arena).get(ValueLayout.JAVA_LONG, STATX_SIZE);
    }
  }

  /** struct statx of {@code linux/stat.h}, the same on every architecture. */
  private MemorySegment statx(Arena arena) {
    MemorySegment result = arena.allocate(STATX_BYTES, 8);
    Linux.check(
        Linux.libc()
            .statx(
                number(),
                Linux.cString(arena, ""),
                AT_EMPTY_PATH,
                STATX_TYPE_AND_SIZE,
                result.address()),
        "statx");
    return result;
  }

  /** Closes the descriptor. Idempotent. */
  @Override
  public void close() {
    int fd = number.getAndSet(CLOSED);
    if (fd != CLOSED) {
      // Linux frees the number even if close reports an error: never retried.
      int ignored = Linux.libc().close(fd);
    }
  }

  @Override
  public String toString() {
    int fd = number.get();
    return fd == CLOSED ? "fd closed" : "fd " + fd;
  }
}
