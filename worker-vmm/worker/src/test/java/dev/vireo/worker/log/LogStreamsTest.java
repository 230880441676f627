package dev.vireo.worker.log;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.worker.v1.LogChunk;
import dev.vireo.proto.worker.v1.ReadLog;
import dev.vireo.worker.time.ManualTime;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Reading a console that is being written, by offset, credit and patience. */
class LogStreamsTest {
  private static final long STREAM = 5;
  private static final int PLENTY = 1 << 20;
  private static final Duration SHORTLY = Duration.ofMillis(100);

  @TempDir private Path directory;
  private final ManualTime time = new ManualTime();
  private final List<LogChunk> chunks = new ArrayList<>();
  private boolean here = true;
  private boolean mayGrow = true;
  private long maxBytes = 1 << 20;
  private final LogStreams streams =
      new LogStreams(
          (uid, source) ->
              here
                  ? Optional.of(new LogSources.Log(ConsoleFile.in(directory, maxBytes), mayGrow))
                  : Optional.empty(),
          time,
          Runnable::run);

  @Test
  void readsWhatIsThereAndEnds() throws IOException {
    guestPrints("hello world");
    read(false, 0, PLENTY);
    assertEquals("hello world", text());
    assertTrue(chunks.getLast().getEnd());
    assertEquals(11, chunks.getLast().getOffset());
    assertEquals(0, time.alarms());
  }

  @Test
  void startsWhereItIsAskedTo() throws IOException {
    guestPrints("hello world");
    read(false, 6, PLENTY);
    assertEquals(6, chunks.getFirst().getOffset());
    assertEquals("world", text());
  }

  @Test
  void startsWithTheOldestByteThatIsKept() throws IOException {
    guestPrints("0123456789");
    maxBytes = 4;
    read(false, 0, PLENTY);
    assertEquals(6, chunks.getFirst().getOffset());
    assertEquals("6789", text());
  }

  @Test
  void leavesOutWhatWasDroppedBetweenTwoReads() throws IOException {
    maxBytes = 4;
    guestPrints("0123");
    read(true, 0, 2);
    assertEquals("01", text());
    guestPrints("456789");
    read(true, 0, PLENTY);
    assertEquals("016789", text());
    assertEquals(6, chunks.getLast().getOffset());
  }

  @Test
  void followsUntilTheGuestCanWriteNoMore() throws IOException {
    read(true, 0, PLENTY);
    assertTrue(chunks.isEmpty(), "before the first run there is nothing yet");
    guestPrints("one ");
    time.pass(SHORTLY);
    guestPrints("two ");
    time.pass(SHORTLY);
    assertEquals("one two ", text());
    assertFalse(chunks.getLast().getEnd());
    guestPrints("three");
    mayGrow = false;
    time.pass(SHORTLY);
    assertEquals("one two three", text());
    assertTrue(chunks.getLast().getEnd());
    assertEquals("", chunks.getLast().getError());
    assertEquals(0, time.alarms());
  }

  @Test
  void aFollowerOfWhatIsRemovedIsToldTheEnd() throws IOException {
    guestPrints("one");
    read(true, 0, PLENTY);
    here = false;
    time.pass(SHORTLY);
    assertTrue(chunks.getLast().getEnd());
    assertEquals("", chunks.getLast().getReason());
  }

  @Test
  void sendsNoMoreThanItHasCreditFor() throws IOException {
    guestPrints("x".repeat(100_000));
    read(true, 0, 40_000);
    assertEquals(40_000, text().length());
    assertEquals(0, time.alarms(), "without credit nothing is looked at");
    read(true, 0, 10_000);
    assertEquals(50_000, text().length());
    read(true, 0, PLENTY);
    assertEquals(100_000, text().length());
    assertContiguous();
  }

  @Test
  void aCancelledStreamSaysNothingMore() throws IOException {
    read(true, 0, PLENTY);
    streams.cancel(STREAM);
    guestPrints("unheard");
    time.pass(SHORTLY);
    assertTrue(chunks.isEmpty());
    assertEquals(0, time.alarms());
  }

  @Test
  void theEndOfASessionEndsItsStreams() throws IOException {
    read(true, 0, PLENTY);
    streams.cancelAll();
    guestPrints("unheard");
    time.pass(SHORTLY);
    assertTrue(chunks.isEmpty());
  }

  @Test
  void anUnknownMicroVmIsAnError() {
    here = false;
    read(true, 0, PLENTY);
    assertTrue(chunks.getLast().getEnd());
    assertEquals("MICROVM_NOT_FOUND", chunks.getLast().getReason());
  }

  private void read(boolean follow, long offset, int credit) {
    streams.read(
        ReadLog.newBuilder()
            .setStreamId(STREAM)
            .setUid("u")
            .setFollow(follow)
            .setOffset(offset)
            .setCreditBytes(credit)
            .build(),
        chunks::add);
  }

  private void guestPrints(String text) throws IOException {
    Files.writeString(
        directory.resolve("console.log"),
        text,
        StandardOpenOption.CREATE,
        StandardOpenOption.APPEND);
  }

  private String text() {
    return chunks.stream()
        .map(chunk -> chunk.getData().toString(UTF_8))
        .collect(Collectors.joining());
  }

  private void assertContiguous() {
    long expected = 0;
    for (LogChunk chunk : chunks) {
      assertEquals(expected, chunk.getOffset());
      expected += chunk.getData().size();
    }
  }
}
