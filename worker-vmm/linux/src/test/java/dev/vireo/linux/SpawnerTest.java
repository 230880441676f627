package dev.vireo.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(20)
final class SpawnerTest {
  private static final Duration LONG = Duration.ofSeconds(10);

  @TempDir Path directory;

  private String outputOf(String script, List<Fd> inherited) throws Exception {
    Path file = directory.resolve("output");
    try (Fd output = Fd.open(file.toString(), Fd.O_RDWR | Fd.O_CREAT | Fd.O_TRUNC, 0600);
        ProcessHandleFd process = Spawner.spawn(shell(script, output, inherited))) {
      assertEquals(Optional.of(new ProcessHandleFd.Exit.Status(0)), process.awaitExit(LONG));
    }
    return Files.readString(file);
  }

  private Spawner.Command shell(String script, Fd output, List<Fd> inherited) {
    return new Spawner.Command(
        "/bin/sh",
        List.of("-c", script),
        Map.of("PATH", "/usr/bin:/bin", "GREETING", "two words"),
        directory.toString(),
        output,
        inherited,
        true);
  }

  @Test
  void childGetsItsArgumentsEnvironmentAndDirectory() throws Exception {
    assertEquals(
        "two words\n" + directory.toRealPath() + "\n",
        outputOf("echo \"$GREETING\"; pwd", List.of()));
  }

  @Test
  void childGetsExactlyTheDescriptorsItIsGiven() throws Exception {
    try (Fd one = Fd.memory("one", 1);
        Fd two = Fd.memory("two", 1);
        Fd notGiven = Fd.memory("three", 1)) {
      // No pipeline: its pipe would be one more, for as long as the shell takes to close it.
      String links =
          outputOf(
              "for f in 0 3 4 5 6 7 8 9 11 12 13; do readlink /proc/$$/fd/$f; done; true",
              List.of(two, one));
      assertEquals("/dev/null\n/memfd:two (deleted)\n/memfd:one (deleted)\n", links);
      assertTrue(notGiven.number() > 2);
    }
  }

  @Test
  void descriptorsThatSwapNumbersDoNotOverwriteEachOther() throws Exception {
    try (Fd three = Fd.memory("a", 1);
        Fd four = Fd.memory("b", 1)) {
      // Whatever their numbers here, each order must come out right.
      assertEquals(
          "/memfd:a (deleted)\n", outputOf("readlink /proc/$$/fd/3", List.of(three, four)));
      assertEquals(
          "/memfd:b (deleted)\n", outputOf("readlink /proc/$$/fd/3", List.of(four, three)));
    }
  }

  @Test
  void childLeadsItsOwnSessionAndBlocksNoSignal() throws Exception {
    Signals.blockKick();
    // exec: a shell blocks signals while it starts a command, dash until the command runs.
    String status =
        outputOf(
            "cut -d' ' -f6 /proc/$$/stat; echo $$; exec grep SigBlk /proc/self/status", List.of());
    String[] lines = status.split("\n", -1);
    assertEquals(lines[1], lines[0], "session id is the pid");
    assertEquals("SigBlk:\t0000000000000000", lines[2]);
  }

  @Test
  void endBySignalIsTold() {
    try (Fd output = Fd.open("/dev/null", Fd.O_WRONLY);
        ProcessHandleFd process = Spawner.spawn(shell("exec sleep 100", output, List.of()))) {
      assertEquals(Optional.empty(), process.awaitExit(Duration.ofMillis(20)));
      assertFalse(process.hasExited());
      assertTrue(process.signal(ProcessHandleFd.SIGKILL));
      assertEquals(Optional.of(new ProcessHandleFd.Exit.Signal(9)), process.awaitExit(LONG));
      assertEquals(
          Optional.of(new ProcessHandleFd.Exit.Signal(9)), process.awaitExit(LONG), "told again");
      assertFalse(process.signal(ProcessHandleFd.SIGTERM));
      assertTrue(ProcessHandleFd.open(process.pid()).isEmpty());
    }
  }

  @Test
  void identityIsPidAndStartTime() {
    try (Fd output = Fd.open("/dev/null", Fd.O_WRONLY);
        ProcessHandleFd process = Spawner.spawn(shell("exec sleep 100", output, List.of()))) {
      long start = process.startTimeTicks();
      assertTrue(start > 0);
      try (ProcessHandleFd again = ProcessHandleFd.open(process.pid(), start).orElseThrow()) {
        assertEquals(start, again.startTimeTicks());
      }
      assertTrue(ProcessHandleFd.open(process.pid(), start + 1).isEmpty());
      assertTrue(process.signal(ProcessHandleFd.SIGKILL));
      assertTrue(process.awaitExit(LONG).isPresent());
    }
  }

  @Test
  void aMissingProgramIsAnErrorHereNotAnExitThere() {
    Spawner.Command command =
        new Spawner.Command("/no/such/program", List.of(), Map.of(), "/", null, List.of(), false);
    LinuxException e = assertThrows(LinuxException.class, () -> Spawner.spawn(command));
    assertEquals(Errno.ENOENT, e.errno());
  }
}
