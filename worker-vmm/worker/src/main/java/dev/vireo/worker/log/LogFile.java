package dev.vireo.worker.log;

import com.google.protobuf.ByteString;
import com.google.protobuf.Timestamp;
import dev.vireo.proto.v1.StreamLogsResponse.Stream;
import java.io.IOException;
import java.util.Optional;

/** Something that grows at its end and is read by offset. What is oldest may be dropped. */
public interface LogFile {
  /**
   * Some of it.
   *
   * @param offset of the first byte
   * @param end where the next chunk begins
   * @param origin of output; of a console nothing is known
   */
  record Chunk(long offset, ByteString bytes, long end, Optional<Origin> origin) {}

  /** Where output comes from, and when it was read from the guest. */
  record Origin(Stream stream, Timestamp time) {}

  /** There is nothing at this offset, and never was. */
  final class NoSuchOffsetException extends IOException {
    private static final long serialVersionUID = 1L;

    NoSuchOffsetException(String message) {
      super(message);
    }
  }

  /**
   * Reads what is kept from {@code offset} on; nothing at its end.
   *
   * @param mostBytes of the chunk; at least 1
   */
  Chunk read(long offset, int mostBytes) throws IOException;
}
