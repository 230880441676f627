package dev.vireo.worker.agent;

import static java.util.Objects.requireNonNull;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.Done;
import dev.vireo.proto.agent.v1.ExecRequest;
import dev.vireo.proto.agent.v1.Exited;
import dev.vireo.proto.agent.v1.Failure;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.agent.v1.SeedRequest;
import dev.vireo.proto.agent.v1.Started;
import dev.vireo.proto.v1.Container;
import dev.vireo.worker.container.Supervision;
import dev.vireo.worker.log.LogFile.Chunk;
import dev.vireo.worker.log.OutputLog;
import dev.vireo.worker.time.SystemTime;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.random.RandomGenerator;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A container's process as it is looked after, with an agent that does what the test says. */
@Timeout(30)
class ContainerSupervisorTest {
  private static final ExecRequest PROCESS =
      ExecRequest.newBuilder().setKey("main").addArguments("/tool").build();

  @TempDir private Path directory;
  private final SystemTime time = new SystemTime();
  private final BlockingQueue<String> told = new LinkedBlockingQueue<>();
  private OutputLog log;
  private FakeAgent agent;
  private ContainerSupervisor supervisor;

  @BeforeEach
  void supervise() throws IOException {
    supervise(Container.getDefaultInstance());
  }

  private void supervise(Container container) throws IOException {
    log = new OutputLog(directory.resolve("output"), 1 << 20);
    agent = new FakeAgent(directory.resolve("vsock"));
    supervisor =
        new ContainerSupervisor(
            directory.resolve("vsock"),
            PROCESS,
            container,
            log,
            time,
            RandomGenerator.of("L64X128MixRandom"),
            new Supervision.Listener() {
              @Override
              public void started() {
                told.add("started");
              }

              @Override
              public void ready() {
                told.add("ready");
              }

              @Override
              public void failed(String why) {
                told.add("failed: " + why);
              }

              @Override
              public void ended(int exitStatus, String how) {
                told.add(exitStatus + ": " + how);
              }
            });
    supervisor.start();
  }

  @AfterEach
  void close() throws Exception {
    agent.close();
    supervisor.drain().get(10, TimeUnit.SECONDS);
    time.close();
  }

  @Test
  void oneWhoseOutputCannotBeKeptIsNotRun() throws Exception {
    supervisor.drain().get(10, TimeUnit.SECONDS);
    agent.close();
    Files.delete(directory.resolve("vsock"));
    Files.delete(log.directory().resolve("0".repeat(16)));
    Files.delete(log.directory());
    Files.createFile(log.directory());

    supervise(Container.getDefaultInstance());

    String told = told();
    assertTrue(told.startsWith("failed: its node cannot keep its output in " + directory), told);
    supervisor.drain().get(10, TimeUnit.SECONDS);
  }

  private String told() throws InterruptedException {
    return requireNonNull(told.poll(10, TimeUnit.SECONDS), "nothing is told");
  }

  /** The first conversation is about the guest's clock and its randomness. */
  private void seed() throws IOException {
    try (FakeAgent.Connection first = agent.answer()) {
      SeedRequest seed = requireNonNull(first.hear()).getSeed();
      assertTrue(seed.getRealtimeNs() > 0);
      assertEquals(64, seed.getEntropy().size());
      first.say(AgentMessage.newBuilder().setDone(Done.getDefaultInstance()));
    }
  }

  private FakeAgent.Connection exec() throws IOException {
    FakeAgent.Connection connection = agent.answer();
    assertEquals(HostMessage.newBuilder().setExec(PROCESS).build(), connection.hear());
    return connection;
  }

  private static AgentMessage.Builder started() {
    return AgentMessage.newBuilder().setStarted(Started.newBuilder().setPid(7));
  }

  private static AgentMessage.Builder exited(int status, int signal) {
    return AgentMessage.newBuilder()
        .setExited(Exited.newBuilder().setStatus(status).setSignal(signal));
  }

  private static ByteString bytes(String text) {
    return ByteString.copyFromUtf8(text);
  }

  private List<String> output() throws IOException {
    List<String> output = new ArrayList<>();
    for (Chunk next = log.read(0, 1); !next.bytes().isEmpty(); next = log.read(next.end(), 1)) {
      output.add(next.origin().orElseThrow().stream() + " " + next.bytes().toStringUtf8());
    }
    return output;
  }

  @Test
  void itsOutputIsKeptBeforeItsEndIsTold() throws Exception {
    seed();
    try (FakeAgent.Connection connection = exec()) {
      connection.say(started());
      connection.say(AgentMessage.newBuilder().setStdout(bytes("out")));
      connection.say(AgentMessage.newBuilder().setStderr(bytes("err")));
      connection.say(exited(7, 0));
      assertEquals("started", told());
      assertEquals("ready", told());
      assertEquals("7: exit status 7", told());
      assertEquals(List.of("STDOUT out", "STDERR err"), output());
      supervisor.drain().get(10, TimeUnit.SECONDS);
      assertNull(connection.hear());
    }
  }

  @Test
  void oneThatASignalKilledEndsAsShellsCount() throws Exception {
    seed();
    try (FakeAgent.Connection connection = exec()) {
      connection.say(started());
      connection.say(exited(0, 9));
      assertEquals("started", told());
      assertEquals("ready", told());
      assertEquals("137: killed by signal 9", told());
    }
  }

  @Test
  void oneThatCannotBeStartedHasEnded() throws Exception {
    seed();
    try (FakeAgent.Connection connection = exec()) {
      Failure.Builder failure =
          Failure.newBuilder().setCode(Failure.Code.NOT_FOUND).setMessage("/tool: no such file");
      connection.say(AgentMessage.newBuilder().setFailure(failure));
      assertEquals("127: cannot be started: /tool: no such file", told());
    }
  }

  @Test
  void oneWhoseUserDoesNotExistIsNotTakenForOneThatDoesNot() throws Exception {
    seed();
    try (FakeAgent.Connection connection = exec()) {
      Failure.Builder failure =
          Failure.newBuilder()
              .setCode(Failure.Code.NOT_FOUND)
              .setField("user")
              .setMessage("there is no user");
      connection.say(AgentMessage.newBuilder().setFailure(failure));
      assertEquals("126: cannot be started: user: there is no user", told());
    }
  }

  /** The guest's owner has its words in reports, lists and terminals. */
  @Test
  void whatAnAgentSaysOfAFailureIsShortAndNothingThatATerminalWouldObey() throws Exception {
    seed();
    try (FakeAgent.Connection connection = exec()) {
      Failure.Builder failure =
          Failure.newBuilder()
              .setCode(Failure.Code.FAILED)
              .setField("user\033[2J" + "y".repeat(30_000))
              .setMessage("gone\033[2J" + "x".repeat(200_000));
      connection.say(AgentMessage.newBuilder().setFailure(failure));
      String told = told();
      assertTrue(told.matches("126: cannot be started: user\\?\\[2Jy+: gone\\?\\[2Jx+"), told);
      assertTrue(told.length() < 600, () -> told.length() + " characters");
    }
  }

  static Stream<List<AgentMessage.Builder>> whatNoAgentSays() {
    AgentMessage.Builder failure =
        AgentMessage.newBuilder().setFailure(Failure.newBuilder().setMessage("late"));
    return Stream.of(
        List.of(started(), started()),
        List.of(started(), failure),
        List.of(AgentMessage.newBuilder().setStdout(bytes("early"))),
        List.of(AgentMessage.newBuilder().setStderr(bytes("early"))),
        List.of(exited(0, 0)),
        List.of(started(), exited(256, 0)),
        List.of(started(), exited(-1, 0)),
        List.of(started(), exited(0, 65)));
  }

  @ParameterizedTest
  @MethodSource("whatNoAgentSays")
  void anAgentThatLiesIsDialledAgain(List<AgentMessage.Builder> words) throws Exception {
    seed();
    try (FakeAgent.Connection connection = exec()) {
      for (AgentMessage.Builder word : words) {
        connection.say(word);
      }
      assertNull(connection.hear(), "the host hangs up");
    }
    told.clear();
    try (FakeAgent.Connection connection = exec()) {
      connection.say(started());
      connection.say(exited(4, 0));
      assertEquals("started", told());
      assertEquals("ready", told());
      assertEquals("4: exit status 4", told());
    }
    assertEquals(List.of(), output());
  }

  @Test
  void anAgentThatGoesOrTalksOutOfTurnIsDialledAgainAndNotSeededTwice() throws Exception {
    seed();
    exec().close();
    try (FakeAgent.Connection connection = exec()) {
      connection.say(started());
      connection.say(AgentMessage.newBuilder().setDone(Done.getDefaultInstance()));
      assertEquals("started", told());
      assertEquals("ready", told());
      assertNull(connection.hear());
    }
    try (FakeAgent.Connection connection = exec()) {
      connection.say(started());
      connection.say(exited(0, 0));
      assertEquals("started", told());
      assertEquals("ready", told());
      assertEquals("0: exit status 0", told());
    }
  }

  @Test
  void aGuestWithoutAnAgentIsDialledUntilItIsGone() throws Exception {
    agent.accept().close();
    agent.accept().close();
    supervisor.drain().get(10, TimeUnit.SECONDS);
    assertTrue(told.isEmpty(), "what became of the process nobody knows");
  }

  @Test
  void whatAGuestHasSaidBeforeItWentIsStillHeard() throws Exception {
    seed();
    try (FakeAgent.Connection connection = exec()) {
      connection.say(started());
      assertEquals("started", told());
      assertEquals("ready", told());
      var drained = supervisor.drain();
      connection.say(AgentMessage.newBuilder().setStdout(bytes("last words")));
      connection.say(exited(3, 0));
      drained.get(10, TimeUnit.SECONDS);
    }
    assertEquals("3: exit status 3", told());
    assertEquals(List.of("STDOUT last words"), output());
  }
}
