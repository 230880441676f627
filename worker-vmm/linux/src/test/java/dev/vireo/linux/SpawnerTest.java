package dev.vireo.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.kenai.jffi.LastError;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
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

  /** As when there are no more descriptors: nobody could ever signal it or reap it. */
  @Test
  void aChildThatCannotBeHeldIsKilledAndReaped() throws Exception {
    Process child = new ProcessBuilder("sleep", "600").start();
    try {
      Libc libc = refusingPidfds();
      int pid = (int) child.pid();
      LinuxException e =
          assertThrows(LinuxException.class, () -> ProcessHandleFd.ofChild(libc, pid));
      assertEquals(Errno.EMFILE, e.errno());
      assertTrue(child.waitFor(10, TimeUnit.SECONDS));
      assertEquals(Optional.empty(), ProcessHandleFd.open(pid));
    } finally {
      child.destroyForcibly();
    }
  }

  private static Libc refusingPidfds() {
    return (Libc)
        Proxy.newProxyInstance(
            Libc.class.getClassLoader(),
            new Class<?>[] {Libc.class},
            (proxy, method, arguments) -> {
              if (method.getName().equals("syscall") && (long) arguments[0] == 434) {
                LastError.getInstance().set(Errno.EMFILE);
                return -1L;
              }
              return method.invoke(Linux.libc(), arguments);
            });
  }

  @Test
  void whatWasParkedIsClosedIfOneCannotBe() {
    List<Fd> inherited = new ArrayList<>();
    try (Fd open = Fd.memory("open", 1)) {
      Fd closed = Fd.memory("closed", 1);
      closed.close();
      inherited.add(open);
      inherited.add(closed);
      long before = openFiles();
      assertThrows(
          IllegalStateException.class, () -> Spawner.spawn(shell("true", open, inherited)));
      assertEquals(before, openFiles());
    }
  }

  private static long openFiles() {
    String[] names = Path.of("/proc/self/fd").toFile().list();
    return names == null ? 0 : Arrays.stream(names).filter(name -> name.length() == 3).count();
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
