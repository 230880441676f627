package dev.vireo.cli.local;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DaemonTest {
  private static final Duration LONG = Duration.ofSeconds(20);

  @TempDir private Path directory = Path.of("");

  @AfterEach
  void endAll() {
    Leftovers.of(directory).forEach(ProcessHandle::destroyForcibly);
  }

  @Test
  void isKnownAgainByItsRecordAndStopped() {
    new Daemon(directory, "sleeper").start(List.of("sleep", "1000"), Map.of());

    Daemon sameDaemon = new Daemon(directory, "sleeper");
    ProcessHandle process = sameDaemon.process().orElseThrow();
    sameDaemon.stop(LONG);

    assertFalse(process.isAlive());
    assertFalse(sameDaemon.isRunning());
    assertFalse(Files.exists(directory.resolve("sleeper/process")));
  }

  @Test
  void leadsItsOwnSessionSoThatCtrlCDoesNotReachIt() throws IOException {
    Daemon daemon = new Daemon(directory, "sleeper");
    daemon.start(List.of("sleep", "1000"), Map.of());

    long pid = daemon.process().orElseThrow().pid();
    String[] stat = Files.readString(Path.of("/proc/" + pid + "/stat")).split(" ", -1);
    assertEquals(Long.toString(pid), stat[5], "session, field 6 of stat");
  }

  @Test
  void doesNotTakeAnotherProcessWithItsIdForItself() throws IOException {
    Daemon daemon = new Daemon(directory, "sleeper");
    daemon.start(List.of("sleep", "1000"), Map.of());
    Path record = directory.resolve("sleeper/process");
    String[] words = Files.readString(record).strip().split(" ", -1);
    ProcessHandle innocent = daemon.process().orElseThrow();

    Files.writeString(record, words[0] + " " + (Long.parseLong(words[1]) - 1) + " " + words[2]);
    assertFalse(daemon.isRunning(), "another start time");
    daemon.stop(LONG);
    assertTrue(innocent.isAlive(), "and so it is let alone");

    Files.writeString(record, words[0] + " " + words[1] + " another-boot");
    assertFalse(daemon.isRunning(), "another boot");
  }

  @Test
  void isStoppedByForceWhenItDoesNotListen() {
    Daemon daemon = new Daemon(directory, "stubborn");
    daemon.start(
        List.of("sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1000; done"), Map.of());
    await().until(() -> daemon.lastLine().equals("deaf"));

    daemon.stop(Duration.ofMillis(50));

    assertFalse(daemon.isRunning());
  }

  @Test
  void keepsItsLogAndTheOneBefore() throws IOException {
    Daemon daemon = new Daemon(directory, "writer");
    daemon.start(List.of("sh", "-c", "echo $WORD"), Map.of("WORD", "first"));
    assertTrue(daemon.awaitEnd(LONG));
    daemon.start(List.of("sh", "-c", "echo $WORD >&2"), Map.of("WORD", "second"));
    assertTrue(daemon.awaitEnd(LONG));

    assertEquals("second", daemon.logTail());
    assertEquals("first\n", Files.readString(directory.resolve("writer/log.previous")));
  }

  @Test
  void itsOrphansAreFoundByWhereTheyWrite() {
    Daemon daemon = new Daemon(directory, "parent");
    daemon.start(List.of("sh", "-c", "setsid sleep 1000 & echo started"), Map.of());
    assertTrue(daemon.awaitEnd(LONG));
    assertFalse(daemon.isRunning());

    List<ProcessHandle> leftovers = Leftovers.of(directory);

    assertEquals(1, leftovers.size());
    leftovers.getFirst().destroyForcibly();
    await().until(() -> Leftovers.of(directory).isEmpty());
  }
}
