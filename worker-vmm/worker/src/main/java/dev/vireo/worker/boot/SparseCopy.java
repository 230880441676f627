package dev.vireo.worker.boot;

import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.Linux;
import dev.vireo.linux.LinuxException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;

/**
 * Copies a file without its holes: by sharing its blocks where the file system can ({@code
 * ioctl_ficlone(2)}), else its data alone.
 */
final class SparseCopy {
  private static final long FICLONE = 0x40049409L;
  private static final int SEEK_DATA = 3;
  private static final int SEEK_HOLE = 4;
  private static final int BUFFER_BYTES = 1 << 20;

  private SparseCopy() {}

  /** Makes {@code target}, replacing it if it exists. The position of {@code source} changes. */
  static void copy(Fd source, Path target) throws IOException {
    try (Fd copy = Fd.open(target.toString(), Fd.O_RDWR | Fd.O_CREAT | Fd.O_TRUNC, 0600)) {
      if (Linux.libc().ioctl(copy.number(), FICLONE, source.number()) == 0) {
        return;
      }
      long size = source.size();
      copy.truncate(size);
      copyData(source, copy, size);
    } catch (LinuxException e) {
      throw new IOException(e.getMessage(), e);
    }
  }

  private static void copyData(Fd source, Fd copy, long size) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(BUFFER_BYTES, 4096);
      long data = seek(source, 0, SEEK_DATA, size);
      while (data < size) {
        long hole = seek(source, data, SEEK_HOLE, size);
        while (data < hole) {
          MemorySegment part = buffer.asSlice(0, Math.min(BUFFER_BYTES, hole - data));
          long read = source.readFully(part, data);
          copy.writeFully(part.asSlice(0, read), data);
          data += part.byteSize();
        }
        data = seek(source, hole, SEEK_DATA, size);
      }
    }
  }

  private static long seek(Fd file, long from, int whence, long size) {
    long position = Linux.libc().lseek(file.number(), from, whence);
    if (position == -1 && Linux.errno() == Errno.ENXIO) {
      return size;
    }
    return Linux.check(position, "lseek");
  }
}
