package dev.vireo.emulated;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A process is recognized by its id and start time, and nobody else is ever killed. */
class ProcessRecordTest {
  @TempDir Path directory;
  private final Process sleeper;

  ProcessRecordTest() throws IOException {
    sleeper = new ProcessBuilder("sleep", "1000").start();
  }

  @AfterEach
  void endSleeper() {
    sleeper.destroyForcibly();
    sleeper.onExit().join();
  }

  @Test
  void whatWasWrittenIsRecognizedAndKilled() throws Exception {
    Path file = directory.resolve("qemu.pid");
    ProcessRecord.of(sleeper.pid()).orElseThrow().write(file);

    ProcessRecord record = ProcessRecord.read(file).orElseThrow();

    assertTrue(record.isAlive());
    record.kill();
    assertFalse(record.isAlive());
    assertFalse(sleeper.isAlive());
  }

  @Test
  void anotherProcessWithTheSameIdIsLeftAlone() throws Exception {
    ProcessRecord record = ProcessRecord.of(sleeper.pid()).orElseThrow();
    ProcessRecord predecessor = new ProcessRecord(record.pid(), record.startTicks() - 1);

    predecessor.kill();

    assertFalse(predecessor.isAlive());
    assertTrue(record.isAlive());
  }

  @Test
  void aRecordThatIsMissingOrHalfWrittenIsNone() throws Exception {
    assertEquals(Optional.empty(), ProcessRecord.read(directory.resolve("none")));
    assertEquals(
        Optional.empty(), ProcessRecord.read(Files.writeString(directory.resolve("half"), "123")));
    assertEquals(
        Optional.empty(), ProcessRecord.read(Files.writeString(directory.resolve("bad"), "a b")));
  }
}
