package dev.vireo.worker.log;

import com.google.protobuf.ByteString;
import dev.vireo.linux.Fd;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;

/**
 * A microVM's console: what its guest has written in all its runs, at the offsets it was written
 * at. A VMM appends, and punches the oldest bytes out once there are more than {@code maxBytes}.
 *
 * @param maxBytes of the spec; what is older may be a hole by now
 */
public record ConsoleFile(Path path, long maxBytes) implements LogFile {
  private static final String NAME = "console.log";

  /** The console of the microVM that this directory is. */
  public static ConsoleFile in(Path microVmDirectory, long maxBytes) {
    return new ConsoleFile(microVmDirectory.resolve(NAME), maxBytes);
  }

  /** For a VMM, which goes on where the run before it ended. */
  public static Fd openForVmm(Path microVmDirectory) {
    return Fd.open(
        microVmDirectory.resolve(NAME).toString(), Fd.O_RDWR | Fd.O_CREAT | Fd.O_APPEND, 0600);
  }

  /** Before the first run there is nothing, which is no error. */
  @Override
  public Chunk read(long offset, int mostBytes) throws IOException {
    try (FileChannel file = FileChannel.open(path, StandardOpenOption.READ)) {
      while (true) {
        long from = Math.max(offset, oldest(file.size()));
        ByteBuffer buffer = ByteBuffer.allocate(Math.clamp(file.size() - from, 0, mostBytes));
        var _ = file.read(buffer, from);
        // Read first, then look whether the VMM has punched out meanwhile what was read.
        if (from >= oldest(file.size())) {
          return chunk(from, ByteString.copyFrom(buffer.flip()));
        }
      }
    } catch (NoSuchFileException beforeTheFirstRun) {
      return chunk(offset, ByteString.EMPTY);
    }
  }

  private static Chunk chunk(long offset, ByteString bytes) {
    return new Chunk(offset, bytes, offset + bytes.size(), Optional.empty());
  }

  private long oldest(long size) {
    return Math.max(0, size - maxBytes);
  }
}
