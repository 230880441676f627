package dev.vireo.worker.log;

import com.google.protobuf.ByteString;
import dev.vireo.proto.time.Timestamps;
import dev.vireo.proto.v1.StreamLogsResponse.Stream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.HexFormat;
import java.util.Optional;
import java.util.TreeMap;

/**
 * A container's output: records, each of what came of one stream at one moment, in the order in
 * which they came. They are kept in segments, files that are named after the offset of their first
 * record; once there is more than {@code maxBytes}, the oldest segment goes as a whole.
 *
 * <p>A record is a header of 16 bytes, big-endian: a magic number (2), the stream (1), nothing (1),
 * the number of bytes (4), and when they came (8, nanoseconds since the epoch); then the bytes. A
 * reader takes a record that is not whole for one that is still being written.
 *
 * @param directory of the segments; need not exist
 * @param maxBytes that are kept, headers included
 */
public record OutputLog(Path directory, long maxBytes) implements LogFile {
  static final int HEADER_BYTES = 16;
  static final int MOST_RECORD_BYTES = 32 << 10;

  private static final short MAGIC = 0x5672;

  /** That of the microVM whose directory this is. */
  public static OutputLog in(Path microVmDirectory, long maxBytes) {
    return new OutputLog(microVmDirectory.resolve("output"), maxBytes);
  }

  /** What is before a record's bytes. */
  record Header(Stream stream, int bytes, long timeNanos) {
    /** That of the record which begins here; empty if none does, or not as a whole yet. */
    static Optional<Header> at(FileChannel segment, long position) throws IOException {
      ByteBuffer buffer = ByteBuffer.allocate(HEADER_BYTES);
      if (!readFully(segment, buffer, position)) {
        return Optional.empty();
      }
      Header header = parse(buffer);
      return position + header.recordBytes() <= segment.size()
          ? Optional.of(header)
          : Optional.empty();
    }

    private static Header parse(ByteBuffer buffer) throws NoSuchOffsetException {
      short magic = buffer.getShort();
      Stream stream = Stream.forNumber(buffer.get());
      buffer.get();
      int bytes = buffer.getInt();
      if (magic != MAGIC || stream == null || bytes < 1 || bytes > MOST_RECORD_BYTES) {
        throw new NoSuchOffsetException("no output begins at this offset");
      }
      return new Header(stream, bytes, buffer.getLong());
    }

    void putInto(ByteBuffer buffer) {
      buffer
          .putShort(MAGIC)
          .put((byte) stream.getNumber())
          .put((byte) 0)
          .putInt(bytes)
          .putLong(timeNanos);
    }

    long recordBytes() {
      return HEADER_BYTES + (long) bytes;
    }

    private Origin origin() {
      return new Origin(stream, Timestamps.of(Instant.ofEpochSecond(0, timeNanos)));
    }
  }

  /** A record as a whole, also if it has more bytes than that: they are few. */
  @Override
  public Chunk read(long offset, int mostBytes) throws IOException {
    while (true) {
      TreeMap<Long, Path> segments = segments();
      if (segments.isEmpty()) {
        return nothing(offset);
      }
      long from = Math.max(offset, segments.firstKey());
      var segment = segments.floorEntry(from);
      try (FileChannel file = FileChannel.open(segment.getValue(), StandardOpenOption.READ)) {
        return read(file, from, from - segment.getKey());
      } catch (NoSuchFileException droppedMeanwhile) {
        // What is oldest is another segment by now.
      }
    }
  }

  private static Chunk read(FileChannel segment, long offset, long position) throws IOException {
    if (position > segment.size()) {
      throw new NoSuchOffsetException("there is no output at offset %d yet".formatted(offset));
    }
    Optional<Header> header = Header.at(segment, position);
    if (header.isEmpty()) {
      return nothing(offset);
    }
    ByteBuffer bytes = ByteBuffer.allocate(header.get().bytes());
    if (!readFully(segment, bytes, position + HEADER_BYTES)) {
      return nothing(offset);
    }
    return new Chunk(
        offset,
        ByteString.copyFrom(bytes),
        offset + header.get().recordBytes(),
        Optional.of(header.get().origin()));
  }

  private static Chunk nothing(long offset) {
    return new Chunk(offset, ByteString.EMPTY, offset, Optional.empty());
  }

  /** The segments that there are, by the offsets of their first records. */
  TreeMap<Long, Path> segments() throws IOException {
    TreeMap<Long, Path> segments = new TreeMap<>();
    try (var files = Files.list(directory)) {
      files.forEach(file ->
          segments.put(HexFormat.fromHexDigitsToLong(String.valueOf(file.getFileName())), file));
    } catch (NoSuchFileException beforeTheFirstOutput) {
      // There is nothing.
    }
    return segments;
  }

  private static boolean readFully(FileChannel file, ByteBuffer buffer, long position)
      throws IOException {
    while (buffer.hasRemaining()) {
      if (file.read(buffer, position + buffer.position()) < 0) {
        return false;
      }
    }
    buffer.flip();
    return true;
  }
}
