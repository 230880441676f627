package dev.vireo.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * A {@code struct sockaddr_un}. Its path field ends at 108 bytes: a longer path goes by way of its
 * directory's descriptor, {@code /proc/self/fd/<n>/<name>}.
 */
record UnixAddress(MemorySegment structure, int length, @Nullable Fd directory)
    implements AutoCloseable {
  private static final short AF_UNIX = 1;
  private static final int PATH_OFFSET = 2;
  private static final int MAX_PATH_BYTES = 107;

  static UnixAddress of(String path, Arena arena) {
    byte[] bytes = path.getBytes(StandardCharsets.UTF_8);
    if (bytes.length <= MAX_PATH_BYTES) {
      return of(bytes, arena, null);
    }
    Path whole = Path.of(path).toAbsolutePath();
    Fd directory = Fd.open(String.valueOf(whole.getParent()), Fd.O_PATH | Fd.O_DIRECTORY);
    String byDescriptor = "/proc/self/fd/" + directory.number() + "/" + whole.getFileName();
    byte[] shorter = byDescriptor.getBytes(StandardCharsets.UTF_8);
    if (shorter.length > MAX_PATH_BYTES) {
      directory.close();
      throw new IllegalArgumentException("socket name is too long: " + path);
    }
    return of(shorter, arena, directory);
  }

  private static UnixAddress of(byte[] path, Arena arena, @Nullable Fd directory) {
    MemorySegment structure = arena.allocate(PATH_OFFSET + MAX_PATH_BYTES + 1L, 2);
    structure.set(ValueLayout.JAVA_SHORT, 0, AF_UNIX);
    MemorySegment.copy(MemorySegment.ofArray(path), 0, structure, PATH_OFFSET, path.length);
    return new UnixAddress(structure, PATH_OFFSET + path.length + 1, directory);
  }

  long address() {
    return structure.address();
  }

  @Override
  public void close() {
    if (directory != null) {
      directory.close();
    }
  }
}
