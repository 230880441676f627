package dev.vireo.worker.log;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.StreamLogsResponse.Stream;
import dev.vireo.worker.log.OutputLog.Header;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.HexFormat;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Appends to an {@link OutputLog}, of which there is one writer at a time. Goes on where an earlier
 * one ended, also if that was killed within a record, or its machine was: what is no whole record
 * is dropped.
 */
public final class OutputWriter implements AutoCloseable {
  private static final int SEGMENTS = 8;

  /** What brings bytes to a place in a file, all or some of them. */
  @FunctionalInterface
  interface Write {
    /**
     * As {@link FileChannel#write(ByteBuffer, long)}.
     *
     * @return how many bytes were written
     */
    int write(FileChannel file, ByteBuffer bytes, long position) throws IOException;
  }

  private final OutputLog log;
  private final Write write;
  private final TreeMap<Long, Path> segments;
  private FileChannel segment;
  private long begin;
  private long end;

  /** Makes the log's directory if need be. */
  public OutputWriter(OutputLog log) throws IOException {
    this(log, FileChannel::write);
  }

  OutputWriter(OutputLog log, Write write) throws IOException {
    this.log = log;
    this.write = write;
    Files.createDirectories(log.directory());
    this.segments = log.segments();
    this.begin = segments.isEmpty() ? 0 : segments.lastKey();
    this.segment = open(begin);
    long whole = wholeBytes(segment);
    segment.truncate(whole);
    this.end = begin + whole;
  }

  private static long wholeBytes(FileChannel segment) throws IOException {
    long position = 0;
    try {
      for (Optional<Header> next = Header.at(segment, 0);
          next.isPresent();
          next = Header.at(segment, position)) {
        position += next.get().recordBytes();
      }
      return position;
    } catch (LogFile.NoSuchOffsetException whatACrashOfTheMachineLeft) {
      return position;
    }
  }

  private FileChannel open(long offset) throws IOException {
    Path file = log.directory().resolve(HexFormat.of().toHexDigits(offset));
    segments.put(offset, file);
    return FileChannel.open(
        file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
  }

  /** Appends what came of a stream at this moment, and drops what is too much then. */
  public void append(Stream stream, ByteString bytes, Instant time) throws IOException {
    for (int at = 0; at < bytes.size(); at += OutputLog.MOST_RECORD_BYTES) {
      int until = Math.min(bytes.size(), at + OutputLog.MOST_RECORD_BYTES);
      appendRecord(stream, bytes.substring(at, until), time);
    }
  }

  /** Where what is appended next begins. */
  public long end() {
    return end;
  }

  private void appendRecord(Stream stream, ByteString bytes, Instant time) throws IOException {
    Header header =
        new Header(
            stream,
            bytes.size(),
            Math.addExact(
                Math.multiplyExact(time.getEpochSecond(), 1_000_000_000L), time.getNano()));
    if (end > begin && end - begin + header.recordBytes() > log.maxBytes() / SEGMENTS) {
      nextSegment();
    }
    ByteBuffer record = ByteBuffer.allocate((int) header.recordBytes());
    header.putInto(record);
    bytes.copyTo(record);
    record.flip();
    try {
      long position = end - begin;
      while (record.hasRemaining()) {
        position += write.write(segment, record, position);
      }
    } catch (IOException e) {
      dropWhatIsNoRecord(e);
      throw e;
    }
    end += header.recordBytes();
    while (end - segments.firstKey() > log.maxBytes() && segments.size() > 1) {
      Files.deleteIfExists(segments.pollFirstEntry().getValue());
    }
  }

  /** Or a shorter one would come before the rest of it. */
  private void dropWhatIsNoRecord(IOException why) {
    try {
      segment.truncate(end - begin);
    } catch (IOException e) {
      why.addSuppressed(e);
    }
  }

  private void nextSegment() throws IOException {
    FileChannel next = open(end);
    segment.close();
    segment = next;
    begin = end;
  }

  @Override
  public void close() throws IOException {
    segment.close();
  }
}
