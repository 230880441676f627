package dev.vireo.worker.log;

import static dev.vireo.proto.v1.StreamLogsResponse.Stream.STDERR;
import static dev.vireo.proto.v1.StreamLogsResponse.Stream.STDOUT;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.google.protobuf.Timestamp;
import dev.vireo.proto.v1.StreamLogsResponse.Stream;
import dev.vireo.worker.log.LogFile.Chunk;
import dev.vireo.worker.log.LogFile.NoSuchOffsetException;
import dev.vireo.worker.log.LogFile.Origin;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A container's output as it is written and read, dropped and gone on with. */
class OutputLogTest {
  private static final Instant NOW = Instant.ofEpochSecond(1_000, 7);
  private static final long MAX_BYTES = 64 << 10;

  @TempDir private Path directory;

  private OutputLog log() {
    return new OutputLog(directory.resolve("output"), MAX_BYTES);
  }

  private static ByteString bytes(String text) {
    return ByteString.copyFromUtf8(text);
  }

  private List<Chunk> readFrom(long offset) throws IOException {
    List<Chunk> chunks = new ArrayList<>();
    for (Chunk next = log().read(offset, 1);
        !next.bytes().isEmpty();
        next = log().read(next.end(), 1)) {
      chunks.add(next);
    }
    return chunks;
  }

  private static Optional<Origin> origin(Stream stream) {
    return Optional.of(
        new Origin(stream, Timestamp.newBuilder().setSeconds(1_000).setNanos(7).build()));
  }

  @Test
  void thereIsNothingBeforeTheFirstOutput() throws IOException {
    assertEquals(new Chunk(0, ByteString.EMPTY, 0, Optional.empty()), log().read(0, 1));
  }

  @Test
  void recordsComeInOrderWithTheirStreamAndTime() throws IOException {
    try (OutputWriter writer = new OutputWriter(log())) {
      writer.append(STDOUT, bytes("out"), NOW);
      writer.append(STDERR, bytes("err"), NOW);
    }
    assertEquals(
        List.of(
            new Chunk(0, bytes("out"), 19, origin(STDOUT)),
            new Chunk(19, bytes("err"), 38, origin(STDERR))),
        readFrom(0));
  }

  @Test
  void whatIsLargeIsSeveralRecords() throws IOException {
    ByteString large = ByteString.copyFrom(new byte[OutputLog.MOST_RECORD_BYTES + 1]);
    try (OutputWriter writer = new OutputWriter(log())) {
      writer.append(STDOUT, large, NOW);
    }
    List<Chunk> chunks = readFrom(0);
    assertEquals(2, chunks.size());
    assertEquals(large, chunks.get(0).bytes().concat(chunks.get(1).bytes()));
  }

  @Test
  void theOldestGoesInSegmentsAndReadersGoOnWithWhatIsKept() throws IOException {
    try (OutputWriter writer = new OutputWriter(log())) {
      for (int i = 0; i < 10_000; i++) {
        writer.append(STDOUT, bytes("line %04d%n".formatted(i)), NOW);
      }
    }
    List<Chunk> chunks = readFrom(0);
    assertTrue(chunks.getFirst().offset() > 0);
    assertEquals("line 9999\n", chunks.getLast().bytes().toString(UTF_8));
    long kept = chunks.getLast().end() - chunks.getFirst().offset();
    assertTrue(kept <= MAX_BYTES && kept > MAX_BYTES / 2, "kept: " + kept);
    assertEquals(chunks.size(), kept / 26);
  }

  @Test
  void aWriterGoesOnWhereTheOneBeforeItEnded() throws IOException {
    try (OutputWriter writer = new OutputWriter(log())) {
      writer.append(STDOUT, bytes("one"), NOW);
    }
    try (OutputWriter writer = new OutputWriter(log())) {
      writer.append(STDOUT, bytes("two"), NOW);
    }
    assertEquals(
        List.of("one", "two"),
        readFrom(0).stream().map(chunk -> chunk.bytes().toStringUtf8()).toList());
  }

  @Test
  void aRecordThatWasCutShortByAKillIsDropped() throws IOException {
    try (OutputWriter writer = new OutputWriter(log())) {
      writer.append(STDOUT, bytes("whole"), NOW);
      writer.append(STDOUT, bytes("torn"), NOW);
    }
    for (int cut = 1; cut < 20; cut += 6) {
      try (FileChannel segment =
          FileChannel.open(log().segments().get(0L), StandardOpenOption.WRITE)) {
        segment.truncate(segment.size() - cut);
      }
      assertEquals(1, readFrom(0).size(), "a reader waits for the rest of it");
      try (OutputWriter writer = new OutputWriter(log())) {
        assertEquals(21, Files.size(log().segments().get(0L)));
        writer.append(STDOUT, bytes("next"), NOW);
      }
      assertEquals("next", readFrom(0).getLast().bytes().toStringUtf8());
    }
  }

  /** A file may have its length already, and not its content. */
  @Test
  void whatACrashOfTheMachineLeftIsDropped() throws IOException {
    try (OutputWriter writer = new OutputWriter(log())) {
      writer.append(STDOUT, bytes("whole"), NOW);
    }
    Files.write(log().segments().get(0L), new byte[100], StandardOpenOption.APPEND);
    try (OutputWriter writer = new OutputWriter(log())) {
      writer.append(STDOUT, bytes("next"), NOW);
    }
    assertEquals(
        List.of("whole", "next"),
        readFrom(0).stream().map(chunk -> chunk.bytes().toStringUtf8()).toList());
  }

  @Test
  void ofARecordThatFoundNoRoomNothingStays() throws IOException {
    AtomicBoolean full = new AtomicBoolean();
    OutputWriter.Write untilFull =
        (file, bytes, position) -> {
          if (!full.get()) {
            return file.write(bytes, position);
          }
          int _ = file.write(bytes.slice(0, bytes.remaining() / 2), position);
          throw new IOException("No space left on device");
        };
    try (OutputWriter writer = new OutputWriter(log(), untilFull)) {
      writer.append(STDOUT, bytes("before"), NOW);
      full.set(true);
      ByteString large = bytes("lost".repeat(100));
      assertThrows(IOException.class, () -> writer.append(STDOUT, large, NOW));
      full.set(false);
      writer.append(STDOUT, bytes("after"), NOW);
    }
    assertEquals(
        List.of("before", "after"),
        readFrom(0).stream().map(chunk -> chunk.bytes().toStringUtf8()).toList());
    assertEquals(readFrom(0).getLast().end(), Files.size(log().segments().get(0L)));
  }

  @Test
  void anOffsetThatNobodyWasToldIsRefused() throws IOException {
    try (OutputWriter writer = new OutputWriter(log())) {
      writer.append(STDOUT, bytes("something that is longer than a header"), NOW);
    }
    assertThrows(NoSuchOffsetException.class, () -> log().read(3, 1));
    assertThrows(NoSuchOffsetException.class, () -> log().read(4_000, 1));
  }
}
