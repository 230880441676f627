package dev.vireo.worker.agent.program;

import static dev.vireo.worker.agent.program.Agent.PATIENCE;
import static dev.vireo.worker.agent.program.Agent.command;
import static dev.vireo.worker.agent.program.Agent.exec;
import static dev.vireo.worker.agent.program.Agent.shell;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import com.google.protobuf.ByteString;
import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.ExecRequest;
import dev.vireo.proto.agent.v1.Exited;
import dev.vireo.proto.agent.v1.Failure;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.agent.v1.TerminalSize;
import java.io.EOFException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Commands that the agent runs: what they get, what comes of them, and what is left of them. */
class AgentExecTest {
  private static final int SIGTERM = 15;
  private static final int SIGKILL = 9;

  private final Path directory;
  private final Agent agent;

  AgentExecTest(@TempDir Path directory) throws IOException {
    this.directory = directory;
    this.agent = Agent.start(directory);
  }

  @AfterEach
  void stop() {
    agent.close();
  }

  @Test
  void outputAndExitStatusAreTold() throws Exception {
    assertEquals(
        new Ran("out\n", "err\n", Exited.newBuilder().setStatus(3).build()),
        agent.run("echo out; echo err >&2; exit 3"));
  }

  @Test
  void theSignalThatKilledItIsTold() throws Exception {
    assertEquals(
        Exited.newBuilder().setSignal(SIGTERM).build(), agent.run("kill -TERM $$").exited());
  }

  @Test
  void argumentsEnvironmentAndDirectoryAreAsAsked() throws Exception {
    Files.createDirectory(directory.resolve("an empty one"));
    ExecRequest.Builder request =
        shell("printf '%s,' \"$0\" \"$@\"; pwd; env")
            .addArguments("a b")
            .addArguments("")
            .addArguments("ü")
            .addEnvironment("X=y=z")
            .addEnvironment("PATH=/bin")
            .setWorkingDirectory(directory.resolve("an empty one").toString());

    Ran ran = Ran.of(agent.answers(exec(request)));

    assertTrue(ran.stdout().startsWith("a b,,ü," + directory + "/an empty one\n"), ran::stdout);
    assertEquals(List.of("HOME=/root", "PATH=/bin", "X=y=z"), variables(ran));
  }

  /** What a shell adds by itself is left out. */
  private static List<String> variables(Ran ran) {
    return ran.stdout()
        .lines()
        .filter(line -> line.matches("[A-Z]+=.*") && !line.matches("(PWD|OLDPWD|SHLVL|_)=.*"))
        .sorted()
        .toList();
  }

  @Test
  void whatIsMissingInTheEnvironmentIsAdded() throws Exception {
    assertEquals(
        List.of("HOME=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        variables(agent.run("env")));
  }

  /** The agent's own PATH, or the default one, would find it. */
  @Test
  void theProgramIsLookedForInTheCommandsOwnPath() throws Exception {
    Files.writeString(directory.resolve("echo"), "#!/bin/sh\n/bin/echo mine\n");
    Files.setPosixFilePermissions(
        directory.resolve("echo"), PosixFilePermissions.fromString("rwxr-xr-x"));

    Ran ran =
        Ran.of(agent.answers(exec(command("echo").addEnvironment("PATH=/nowhere:" + directory))));

    assertEquals("mine\n", ran.stdout());
  }

  @ParameterizedTest
  @CsvSource({
    "'', 0 0 0",
    "root, 0 0 0",
    "nobody, 65534 65534 65534",
    "65534, 65534 65534 65534",
    "nobody:daemon, 65534 1 1",
    "12345, 12345 0 0",
    "12345:678, 12345 678 678",
    "daemon, 1 1 1"
  })
  void itRunsAsItsUser(String user, String expected) throws Exception {
    Ran ran = Ran.of(agent.answers(exec(shell("echo $(id -u) $(id -g) $(id -G)").setUser(user))));

    assertEquals(expected + "\n", ran.stdout());
  }

  @Test
  void aUsersOtherGroupsAreItsOwn() throws Exception {
    String members =
        Files.readAllLines(Path.of("/etc/group")).stream()
            .filter(line -> !line.endsWith(":"))
            .findFirst()
            .orElse("");
    String user = members.substring(members.lastIndexOf(':') + 1).split(",", 2)[0];
    assumeFalse(user.isEmpty(), "no group of this host has members");

    Ran ran = Ran.of(agent.answers(exec(shell("id -G; id -G " + user).setUser(user))));

    List<List<String>> groups = ran.stdout().lines().map(line -> List.of(line.split(" "))).toList();
    assertEquals(
        groups.getFirst().stream().sorted().toList(), groups.getLast().stream().sorted().toList());
  }

  @Test
  void whatCannotBeStartedIsNamed() throws Exception {
    Path text = Files.writeString(directory.resolve("text"), "no program");
    assertFailure(Failure.Code.PERMISSION_DENIED, text.toString(), command(text.toString()));
    Files.setPosixFilePermissions(text, PosixFilePermissions.fromString("rwxr-xr-x"));
    assertFailure(Failure.Code.NOT_EXECUTABLE, text.toString(), command(text.toString()));
    assertFailure(Failure.Code.NOT_FOUND, "no-such-program", command("no-such-program"));
    assertFailure(Failure.Code.NOT_FOUND, "/no/such", command("/no/such"));
    assertFailure(
        Failure.Code.NOT_FOUND, "/no/such", command("true").setWorkingDirectory("/no/such"));
    assertFailure(Failure.Code.NOT_FOUND, "no-such-user", command("true").setUser("no-such-user"));
    assertFailure(
        Failure.Code.NOT_FOUND, "no-such-group", command("true").setUser("root:no-such-group"));
    Path closed = Files.createDirectory(directory.resolve("closed"));
    Files.setPosixFilePermissions(closed, PosixFilePermissions.fromString("---------"));
    assertFailure(
        Failure.Code.PERMISSION_DENIED,
        directory.toString(),
        command("true").setUser("nobody").setWorkingDirectory(closed.toString()));
    agent.awaitNoProcesses();
  }

  @Test
  void wrongRequestsAreRefused() throws Exception {
    String long64 = "k".repeat(65);
    assertFailure(Failure.Code.INVALID, "arguments", ExecRequest.newBuilder());
    assertFailure(
        Failure.Code.INVALID, "working_directory", command("true").setWorkingDirectory("tmp"));
    assertFailure(Failure.Code.INVALID, "NAME=value", command("true").addEnvironment("X"));
    assertFailure(Failure.Code.INVALID, "NAME=value", command("true").addEnvironment("=X"));
    assertFailure(Failure.Code.INVALID, "key", command("true").setKey(long64));
    assertFailure(Failure.Code.INVALID, "key", command("true").setKey("k").setDetach(true));
    assertFailure(Failure.Code.INVALID, "terminal", command("true").setTerminal(size(0, 25)));
    assertFailure(Failure.Code.INVALID, "terminal", command("true").setTerminal(size(80, 65_536)));
    assertFailure(
        Failure.Code.INVALID, "128 KiB", command("true").addArguments("x".repeat(128 << 10)));
    agent.awaitNoProcesses();
  }

  private void assertFailure(Failure.Code code, String about, ExecRequest.Builder request)
      throws IOException {
    Failure failure = agent.answer(exec(request)).getFailure();
    assertEquals(code, failure.getCode(), failure::getMessage);
    assertTrue(
        (failure.getField() + ": " + failure.getMessage()).contains(about), failure::toString);
  }

  @Test
  void asManyArgumentsAsThereMayBeArrive() throws Exception {
    ExecRequest.Builder request = command("/bin/sh", "-c", "echo $#");
    for (int i = 0; i < 60_000; i++) {
      request.addArguments("x");
    }

    assertEquals("59999\n", Ran.of(agent.answers(exec(request))).stdout());
  }

  // --- streams
  // -------------------------------------------------------------------------------------

  @Test
  void itReadsWhatIsSentUntilThatEnds() throws Exception {
    try (Talk talk = agent.talk(exec(command("wc", "-c").setStdin(true)))) {
      ByteString most = ByteString.copyFrom(new byte[64 << 10]);
      for (int i = 0; i < 64; i++) {
        talk.say(Talk.data(most));
      }
      talk.say(Talk.end());

      assertEquals((4 << 20) + "\n", Ran.of(talk.rest()).stdout());
    }
  }

  @Test
  void withoutInputItReadsNothing() throws Exception {
    assertEquals("0\n", agent.run("wc -c").stdout());
  }

  /** What a command does not read any more is not missed by anybody. */
  @Test
  void inputAfterItsReaderHasGoneIsDropped() throws Exception {
    try (Talk talk = agent.talk(exec(shell("exec <&-; echo closed; sleep 0.2").setStdin(true)))) {
      assertTrue(talk.hear().hasStarted());
      assertEquals("closed\n", talk.hear().getStdout().toStringUtf8());
      for (int i = 0; i < 8; i++) {
        talk.say(Talk.data(ByteString.copyFrom(new byte[64 << 10])));
      }

      assertEquals(0, Ran.ofRest(talk.rest()).exited().getStatus());
    }
  }

  /**
   * What a command has printed waits for the node when the command is over, and so does what its
   * input has not taken, which is of no use then. How much the sockets take is not known: one of
   * the sizes is more than that, and less than the agent takes besides.
   */
  @Test
  void inputThatACommandLeavesBehindIsForgottenWithIt() throws Exception {
    Path other = Files.createDirectory(directory.resolve("other"));
    Path end = directory.resolve("end");
    String program = Agent.built("sanitized").toString();
    List<Talk> talks = new ArrayList<>();
    try (Agent strict = Agent.start(other, List.of(), program)) {
      for (int kib = 96; kib <= 384; kib += 24) {
        talks.add(
            strict.talk(
                exec(
                    shell(
                            """
                            exec 3<&0
                            until test -e %s; do sleep 0.1; done
                            { sleep 2; cat; } <&3 >/dev/null 2>&1 &
                            head -c %dK /dev/zero
                            """
                                .formatted(end, kib))
                        .setStdin(true))));
        for (int i = 0; i < 3; i++) {
          talks.getLast().say(Talk.data(ByteString.copyFrom(new byte[64 << 10])));
        }
      }
      Files.createFile(end);
      Thread.sleep(4000); // The background jobs read on.

      assertTrue(strict.isAlive(), strict.log());
      for (Talk talk : talks) {
        talk.close();
      }
      strict.awaitNoProcesses();
    }
  }

  @Test
  void whoDoesNotReadIsNotReadFrom() throws Exception {
    try (Talk talk = agent.talk(exec(shell("sleep 1000").setStdin(true)))) {
      long before = agent.residentKib();

      long taken = talk.sayUntilItStands(Talk.data(ByteString.copyFrom(new byte[64 << 10])));

      assertTrue(taken < 2 << 20, () -> taken + " bytes were taken for nobody");
      assertTrue(agent.residentKib() < before + 1024, "the agent keeps them");
    }
    agent.awaitNoProcesses();
  }

  @Test
  void aCommandWhoseOutputNobodyReadsStandsStill() throws Exception {
    try (Talk talk = agent.talk(exec(command("yes")))) {
      int pid = talk.hear().getStarted().getPid();
      awaitStandstill(pid);
      long memory = agent.residentKib();
      assertTrue(memory < 2048, () -> memory + " KiB");

      long written = written(pid);
      assertTrue(written < 2 << 20, () -> written + " bytes were taken for nobody");
      while (written(pid) == written) {
        assertTrue(talk.hear().hasStdout(), "it goes on for who reads");
      }
    }
    agent.awaitNoProcesses();
  }

  private static void awaitStandstill(int pid) {
    List<Long> seen = new ArrayList<>();
    await("the command stands still")
        .atMost(PATIENCE)
        .pollInterval(Duration.ofMillis(300))
        .until(() -> {
          seen.add(written(pid));
          return seen.size() > 1
              && seen.getLast() > 0
              && seen.getLast().equals(seen.get(seen.size() - 2));
        });
  }

  /** How many bytes a process has written anywhere. */
  private static long written(int pid) throws IOException {
    return Files.readAllLines(Path.of("/proc/" + pid + "/io")).stream()
        .filter(line -> line.startsWith("wchar: "))
        .mapToLong(line -> Long.parseLong(line.substring("wchar: ".length())))
        .sum();
  }

  /** As long as nobody writes forever: after the end there is a little time, and an end to it. */
  @Test
  void theEndDoesNotWaitForThoseWhoHoldTheOutput() throws Exception {
    Ran silent = agent.run("echo before; sleep 1000 & echo $!");
    assertTrue(silent.stdout().startsWith("before\n"), silent::stdout);
    Ran loud = agent.run("yes & echo $! >&2");
    assertEquals(0, loud.exited().getStatus());

    kill(silent.stdout().lines().toList().getLast());
    var _ = agent.run("kill -9 " + loud.stderr().strip() + " 2> /dev/null");
  }

  @Test
  void outputThatIsWrittenJustAfterTheEndIsStillSent() throws Exception {
    assertEquals("late\n", agent.run("(sleep 0.02; echo late) &").stdout());
  }

  @Test
  void allOutputComesBeforeTheEnd() throws Exception {
    Ran ran = agent.run("head -c 3000000 /dev/zero | tr '\\0' x");

    assertEquals(3_000_000, ran.stdout().length());
  }

  // --- the terminal
  // --------------------------------------------------------------------------------

  @Test
  void aTerminalIsItsControllingOneAndCanBeResized() throws Exception {
    ExecRequest.Builder request =
        shell(
                """
                trap 'stty size; exit 5' WINCH
                tty; echo $TERM; stty size; test -t 0 && test -t 1 && test -t 2 && : < /dev/tty && echo whole
                while :; do sleep 0.05; done\
                """)
            .setTerminal(size(80, 25));
    try (Talk talk = agent.talk(exec(request))) {
      StringBuilder said = new StringBuilder();
      assertTrue(talk.hear().hasStarted());
      while (!said.toString().contains("whole")) {
        said.append(talk.hear().getStdout().toStringUtf8());
      }
      talk.say(HostMessage.newBuilder().setResize(size(132, 43)).build());
      Ran ran = Ran.ofRest(talk.rest());

      assertTrue(
          said.toString().matches("/dev/pts/\\d+\r\nxterm\r\n25 80\r\nwhole\r\n"), said::toString);
      assertEquals("43 132\r\n", ran.stdout());
      assertEquals(5, ran.exited().getStatus());
    }
  }

  @Test
  void whatIsTypedArrivesAndControlCInterrupts() throws Exception {
    ExecRequest.Builder request = command("cat").setTerminal(size(80, 25)).setStdin(true);
    try (Talk talk = agent.talk(exec(request), Talk.data("typed\n"), Talk.end())) {
      assertEquals("typed\r\ntyped\r\n", Ran.of(talk.rest()).stdout());
    }
    try (Talk talk = agent.talk(exec(request), Talk.data("\3"))) {
      assertEquals(2, Ran.of(talk.rest()).exited().getSignal());
    }
  }

  private static TerminalSize size(int columns, int rows) {
    return TerminalSize.newBuilder().setColumns(columns).setRows(rows).build();
  }

  // --- signals and the end of connections
  // ----------------------------------------------------------

  @Test
  void aSignalIsForAllOfTheGroup() throws Exception {
    String script =
        """
        trap 'wait; exit 7' TERM
        (trap 'echo child; exit' TERM; echo ready; while :; do sleep 0.05; done) &
        wait\
        """;
    try (Talk talk = agent.talk(exec(shell(script)))) {
      assertTrue(talk.hear().hasStarted());
      assertEquals("ready\n", talk.hear().getStdout().toStringUtf8());
      talk.say(Talk.signal(SIGTERM));

      Ran ran = Ran.ofRest(talk.rest());
      assertEquals("child\n", ran.stdout());
      assertEquals(7, ran.exited().getStatus());
    }
  }

  /** Sent before the agent has had time to start it. */
  @Test
  void aSignalThatComesWithTheRequestIsNotLost() throws Exception {
    Ran ran = Ran.of(agent.answers(exec(command("sleep", "1000")), Talk.signal(SIGKILL)));

    assertEquals(SIGKILL, ran.exited().getSignal());
  }

  /** With a terminal, a shell's jobs have groups of their own, and they do not heed the hang-up. */
  @Test
  void theEndOfTheConnectionIsTheEndOfTheCommandAndItsJobs() throws Exception {
    Path pids = directory.resolve("pids");
    String script =
        "set -m; trap '' HUP TERM; sleep 1000 & echo $! >> %1$s; (sleep 1000; :) & echo $! >> %1$s; echo $$ >> %1$s; wait"
            .formatted(pids);
    for (ExecRequest.Builder request :
        List.of(shell(script), shell(script).setTerminal(size(80, 25)))) {
      Files.deleteIfExists(pids);
      try (Talk talk = agent.talk(exec(request))) {
        assertTrue(talk.hear().hasStarted());
        await("all run")
            .atMost(PATIENCE)
            .until(() -> Files.exists(pids) && Files.readAllLines(pids).size() == 3);
      }
      agent.awaitNoProcesses();
      for (String pid : Files.readAllLines(pids)) {
        await(pid + " ends").atMost(PATIENCE).until(() -> !isRunning(pid));
      }
    }
  }

  private static boolean isRunning(String pid) throws IOException {
    Path stat = Path.of("/proc", pid, "stat");
    try {
      return !Files.readString(stat).contains(") Z ");
    } catch (NoSuchFileException e) {
      return false;
    }
  }

  @Test
  void aDetachedCommandGoesOn() throws Exception {
    Path done = directory.resolve("done");
    List<AgentMessage> answers =
        agent.answers(
            exec(shell("yes | head -c 1000000; sleep 0.1; echo > " + done).setDetach(true)));

    assertEquals(1, answers.size(), answers::toString);
    assertTrue(answers.getFirst().hasStarted());
    await("it ends by itself").atMost(PATIENCE).until(() -> Files.exists(done));
    agent.awaitNoProcesses();
  }

  // --- keys
  // ----------------------------------------------------------------------------------------

  @Test
  void aCommandWithAKeyWaitsAndGoesOnToWhoComesNext() throws Exception {
    ExecRequest.Builder request =
        shell("echo one; read x; echo $x; read x; exit $x").setStdin(true).setKey("k");
    int pid;
    try (Talk talk = agent.talk(exec(request))) {
      pid = talk.hear().getStarted().getPid();
      assertEquals("one\n", talk.hear().getStdout().toStringUtf8());
    }
    try (Talk talk = agent.talk(exec(request), Talk.data("two\n"))) {
      assertEquals(pid, talk.hear().getStarted().getPid(), "nothing new is started");
      assertEquals("two\n", talk.hear().getStdout().toStringUtf8());
      try (Talk newer = agent.talk(exec(request))) {
        assertEquals(pid, newer.hear().getStarted().getPid());
        assertThrows(EOFException.class, talk::hear, "the newer connection has it");
        newer.say(Talk.data("9\n"));
        assertEquals(9, Ran.ofRest(newer.rest()).exited().getStatus());
      }
    }
    agent.awaitNoProcesses();
  }

  @Test
  void whoHasTakenOverNeedNotKnowThatTheInputHasEnded() throws Exception {
    ExecRequest.Builder request = command("sleep", "1000").setStdin(true).setKey("k");
    try (Talk talk = agent.talk(exec(request), Talk.end())) {
      assertTrue(talk.hear().hasStarted());
    }
    try (Talk talk =
        agent.talk(exec(request), Talk.data("late"), Talk.end(), Talk.signal(SIGKILL))) {
      assertTrue(talk.hear().hasStarted());
      assertEquals(SIGKILL, Ran.ofRest(talk.rest()).exited().getSignal());
    }
    agent.awaitNoProcesses();
  }

  @Test
  void theEndIsKeptAndToldToWhoeverAsks() throws Exception {
    Path go = directory.resolve("go");
    ExecRequest.Builder request =
        shell("until [ -e %s ]; do sleep 0.02; done; echo last words; exit 4".formatted(go))
            .setKey("k");
    try (Talk talk = agent.talk(exec(request))) {
      assertTrue(talk.hear().hasStarted());
    }
    assertEquals(1, agent.processes(), "it goes on, and the agent knows that nobody listens");
    Files.createFile(go);
    agent.awaitNoProcesses();

    Ran ran = Ran.of(agent.answers(exec(request)));
    assertEquals("last words\n", ran.stdout());
    assertEquals(4, ran.exited().getStatus());

    Ran again = Ran.of(agent.answers(exec(shell("echo new").setKey("k"))));
    assertEquals("", again.stdout(), "it is never started twice");
    assertEquals(4, again.exited().getStatus());
  }

  @Test
  void thereIsAnEndToKeys() throws Exception {
    List<Talk> talks = new ArrayList<>();
    for (int i = 0; i < 16; i++) {
      talks.add(agent.talk(exec(command("sleep", "1000").setKey("k" + i))));
      assertTrue(talks.getLast().hear().hasStarted());
    }
    assertFailure(Failure.Code.EXHAUSTED, "key", command("true").setKey("one more"));
    for (Talk talk : talks) {
      talk.say(Talk.signal(SIGKILL));
      assertEquals(SIGKILL, Ran.ofRest(talk.rest()).exited().getSignal());
      talk.close();
    }
    assertFailure(Failure.Code.EXHAUSTED, "key", command("true").setKey("one more"));
  }

  @Test
  void aKeyOfWhatCannotBeStartedIsFree() throws Exception {
    for (int i = 0; i < 20; i++) {
      assertFailure(Failure.Code.NOT_FOUND, "/no/such", command("/no/such").setKey("k" + i));
    }
  }

  // --- what is left
  // ---------------------------------------------------------------------------------

  @Test
  void aThousandCommandsLeaveNothing() throws Exception {
    var _ = agent.run("echo warm");
    long descriptors = agent.descriptors();
    long memory = agent.residentKib();
    for (int i = 0; i < 1000; i++) {
      switch (i % 4) {
        case 0 -> assertEquals("x\n", Ran.of(agent.answers(exec(command("echo", "x")))).stdout());
        case 1 -> assertFailure(Failure.Code.NOT_FOUND, "/no/such", command("/no/such"));
        case 2 -> agent.talk(exec(command("sleep", "1000").setTerminal(size(80, 25)))).close();
        default -> assertEquals("0\n", agent.run("ls /proc/self/fd | tail -n +5 | wc -l").stdout());
      }
    }
    agent.awaitNoProcesses();
    await("descriptors").atMost(PATIENCE).until(() -> agent.descriptors() <= descriptors);
    long after = agent.residentKib();
    assertTrue(after <= memory + 256, () -> memory + " KiB before, " + after + " KiB after");
  }

  @Test
  void theAgentsEndIsThatOfItsCommands() throws Exception {
    try (Talk talk = agent.talk(exec(command("sleep", "1000")))) {
      String pid = Integer.toString(talk.hear().getStarted().getPid());

      assertEquals(0, agent.stop());

      await("the command ends").atMost(PATIENCE).until(() -> !isRunning(pid));
      assertFalse(Files.exists(directory.resolve("agent.socket")));
    }
  }

  private static void kill(String pid) {
    ProcessHandle.of(Long.parseLong(pid)).ifPresent(ProcessHandle::destroyForcibly);
  }
}
