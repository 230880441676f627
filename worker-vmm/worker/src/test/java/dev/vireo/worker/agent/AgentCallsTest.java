package dev.vireo.worker.agent;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.google.protobuf.Timestamp;
import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.ConnectRequest;
import dev.vireo.proto.agent.v1.Done;
import dev.vireo.proto.agent.v1.EndOfData;
import dev.vireo.proto.agent.v1.Exited;
import dev.vireo.proto.agent.v1.Failure;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.agent.v1.Started;
import dev.vireo.proto.agent.v1.TerminalSize;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.CopyInRequest;
import dev.vireo.proto.v1.CopyInStart;
import dev.vireo.proto.v1.CopyOutRequest;
import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecStart;
import dev.vireo.proto.v1.FileEntry;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.PortForwardRequest;
import dev.vireo.proto.v1.PortForwardStart;
import dev.vireo.proto.v1.StdinEnd;
import dev.vireo.proto.v1.StreamEnd;
import dev.vireo.proto.v1.VsockStatus;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelFailure;
import dev.vireo.proto.worker.v1.TunnelUp;
import dev.vireo.worker.agent.FakeAgent.Connection;
import dev.vireo.worker.time.ManualTime;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.random.RandomGenerator;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Calls to an agent, over a real socket, with an agent that may be as hostile as it likes. */
@Timeout(60)
final class AgentCallsTest {
  private static final String UID = "u1";
  private static final EndOfData END = EndOfData.getDefaultInstance();
  private static final Done DONE = Done.getDefaultInstance();

  @TempDir private Path directory;

  private final ManualTime time = new ManualTime();
  private MicroVmReport report = MicroVmReport.getDefaultInstance();
  private FakeAgent agent;
  private Activity activity;
  private AgentCalls calls;

  @BeforeEach
  void listen() throws IOException {
    Path socket = directory.resolve("vsock");
    agent = new FakeAgent(socket);
    report =
        MicroVmReport.newBuilder()
            .setUid(UID)
            .setState(MicroVmState.RUNNING)
            .setVsock(VsockStatus.newBuilder().setCid(3).setSocket(socket.toString()))
            .build();
    activity = new Activity(time);
    calls =
        new AgentCalls(
            uid -> uid.equals(UID) ? Optional.of(report) : Optional.empty(),
            new ContainerProcesses(time, RandomGenerator.of("L64X128MixRandom")),
            activity,
            time);
  }

  @AfterEach
  void nothingIsLeft() throws IOException {
    agent.close();
    await().until(() -> calls.count() == 0 && time.alarms() == 0);
  }

  private static TunnelDown.Builder exec(ExecStart.Builder start) {
    return TunnelDown.newBuilder().setExec(ExecRequest.newBuilder().setStart(start));
  }

  private static ExecStart.Builder command(String... arguments) {
    return ExecStart.newBuilder().addAllArguments(List.of(arguments));
  }

  private static ByteString bytes(String text) {
    return ByteString.copyFromUtf8(text);
  }

  private FakeTunnel serve(TunnelDown.Builder first) {
    FakeTunnel tunnel = FakeTunnel.reading();
    serve(tunnel, first);
    return tunnel;
  }

  private void serve(FakeTunnel tunnel, TunnelDown.Builder first) {
    tunnel.say(first);
    calls.serve(UID, tunnel);
  }

  private static AgentMessage.Builder agentSays() {
    return AgentMessage.newBuilder();
  }

  private static AgentMessage.Builder started(int pid) {
    return agentSays().setStarted(Started.newBuilder().setPid(pid));
  }

  private static AgentMessage.Builder exited(int status, int signal) {
    return agentSays().setExited(Exited.newBuilder().setStatus(status).setSignal(signal));
  }

  private static HostMessage heard(Connection connection) throws IOException {
    HostMessage message = connection.hear();
    assertNotNull(message, "the host has closed the connection");
    return message;
  }

  private static void assertFailure(ErrorReason reason, FakeTunnel tunnel) {
    Optional<TunnelFailure> ended = tunnel.awaitEnd();
    assertEquals(reason.name(), ended.orElseThrow().getReason(), ended::toString);
  }

  // ---- exec

  @Test
  void aCommandIsStartedFedAndItsEndTold() throws IOException, InterruptedException {
    FakeTunnel tunnel =
        serve(
            exec(
                command("cat", "-")
                    .setStdin(true)
                    .setUser("nobody")
                    .setWorkingDirectory("/tmp")
                    .putEnvironment("B", "2")
                    .putEnvironment("A", "1=1")));
    try (Connection connection = agent.answer()) {
      assertEquals("CONNECT 52", connection.command);
      assertEquals(
          HostMessage.newBuilder()
              .setExec(
                  dev.vireo.proto.agent.v1.ExecRequest.newBuilder()
                      .addArguments("cat")
                      .addArguments("-")
                      .setStdin(true)
                      .setUser("nobody")
                      .setWorkingDirectory("/tmp")
                      .addEnvironment("A=1=1")
                      .addEnvironment("B=2"))
              .build(),
          heard(connection));
      connection.say(started(17));
      assertEquals(17, tunnel.next().getExec().getStarted().getPid());
      ExecRequest.Builder request = ExecRequest.newBuilder();
      tunnel.say(TunnelDown.newBuilder().setExec(request.setStdin(bytes("in"))));
      assertEquals(bytes("in"), heard(connection).getData());
      tunnel.say(TunnelDown.newBuilder().setExec(request.setSignal(2)));
      assertEquals(2, heard(connection).getSignal());
      tunnel.say(
          TunnelDown.newBuilder().setExec(request.setStdinEnd(StdinEnd.getDefaultInstance())));
      assertTrue(heard(connection).hasEnd());
      tunnel.halfClose();
      connection.say(agentSays().setStdout(bytes("out")));
      connection.say(agentSays().setStderr(bytes("err")));
      assertEquals(bytes("out"), tunnel.next().getExec().getStdout());
      assertEquals(bytes("err"), tunnel.next().getExec().getStderr());
      connection.say(exited(7, 0));
      assertEquals(7, tunnel.next().getExec().getExited().getStatus());
      assertNull(connection.hear(), "the end of input was told once, and the host hangs up");
    }
    assertEquals(Optional.empty(), tunnel.awaitEnd());
  }

  @Test
  void aTerminalIsResizedAndASignalCountsAsShellsCount() throws IOException, InterruptedException {
    ConsoleSize size = ConsoleSize.newBuilder().setColumns(80).setRows(25).build();
    FakeTunnel tunnel = serve(exec(command("sh").setTerminal(size)));
    try (Connection connection = agent.answer()) {
      TerminalSize expected = TerminalSize.newBuilder().setColumns(80).setRows(25).build();
      assertEquals(expected, heard(connection).getExec().getTerminal());
      connection.say(started(1));
      tunnel.next();
      tunnel.say(TunnelDown.newBuilder().setExec(ExecRequest.newBuilder().setResize(size)));
      assertEquals(expected, heard(connection).getResize());
      connection.say(exited(0, 9));
      assertEquals(137, tunnel.next().getExec().getExited().getStatus());
    }
    assertEquals(Optional.empty(), tunnel.awaitEnd());
  }

  @Test
  void aDetachedCommandIsLeftOnceItRuns() throws IOException, InterruptedException {
    FakeTunnel tunnel = serve(exec(command("httpd").setDetach(true)));
    try (Connection connection = agent.answer()) {
      assertTrue(heard(connection).getExec().getDetach());
      connection.say(started(5));
      assertEquals(5, tunnel.next().getExec().getStarted().getPid());
      assertEquals(Optional.empty(), tunnel.awaitEnd());
      assertNull(connection.hear());
    }
  }

  @Test
  void aHalfCloseEndsStandardInput() throws IOException {
    FakeTunnel tunnel = serve(exec(command("cat").setStdin(true)));
    tunnel.halfClose();
    try (Connection connection = agent.answer()) {
      heard(connection);
      assertTrue(heard(connection).hasEnd());
      tunnel.go();
    }
  }

  @Test
  void whatWasNotAskedForIsRefused() throws IOException {
    FakeTunnel tunnel = serve(exec(command("cat")));
    tunnel.say(TunnelDown.newBuilder().setExec(ExecRequest.newBuilder().setStdin(bytes("x"))));
    try (Connection connection = agent.answer()) {
      heard(connection);
      assertNull(connection.hear());
    }
    assertFailure(ErrorReason.FIELD_INVALID, tunnel);
  }

  @Test
  void aClientThatGoesHasTheConnectionClosed() throws IOException, InterruptedException {
    FakeTunnel tunnel = serve(exec(command("sleep", "1000")));
    try (Connection connection = agent.answer()) {
      heard(connection);
      connection.say(started(1));
      tunnel.next();
      tunnel.go();
      assertNull(connection.hear(), "which is what makes an agent kill the command");
    }
  }

  @Test
  void theEndOfASessionEndsAllCalls() throws IOException, InterruptedException {
    FakeTunnel tunnel = serve(exec(command("sleep", "1000")));
    try (Connection connection = agent.answer()) {
      heard(connection);
      connection.say(started(1));
      tunnel.next();
      calls.endAll();
      assertNull(connection.hear());
      assertTrue(tunnel.isGone());
    }
  }

  /** What the kernel's two buffers hold, and a message in each hand. */
  private static final int BOUND_BYTES = 4 << 20;

  @Test
  void anAgentThatSendsForEverIsHeldUpByAClientThatDoesNotRead() throws Exception {
    FakeTunnel tunnel = new FakeTunnel();
    serve(tunnel, exec(command("yes")));
    ByteString much = ByteString.copyFrom(new byte[64 << 10]);
    AtomicInteger accepted = new AtomicInteger();
    try (Connection connection = agent.answer()) {
      heard(connection);
      connection.say(started(1));
      Thread yes =
          Thread.ofVirtual()
              .start(() -> {
                try {
                  while (accepted.get() < 10 * BOUND_BYTES) {
                    connection.say(agentSays().setStdout(much));
                    accepted.addAndGet(much.size());
                  }
                } catch (IOException e) {
                  // The test is over.
                }
              });
      awaitQuiet(accepted);
      assertTrue(accepted.get() < BOUND_BYTES, accepted + " bytes were taken for nobody");
      assertEquals(0, tunnel.unread());
      int before = accepted.get();
      tunnel.read(1 + before / much.size());
      await().until(() -> accepted.get() > before);
      tunnel.go();
      yes.join();
    }
  }

  @Test
  void aClientThatSendsForEverIsHeldUpByACommandThatDoesNotRead() throws Exception {
    FakeTunnel tunnel = serve(exec(command("sleep").setStdin(true)));
    ByteString much = ByteString.copyFrom(new byte[64 << 10]);
    int messages = 10 * BOUND_BYTES / much.size();
    for (int i = 0; i < messages; i++) {
      tunnel.say(TunnelDown.newBuilder().setExec(ExecRequest.newBuilder().setStdin(much)));
    }
    try (Connection connection = agent.answer()) {
      heard(connection);
      connection.say(started(1));
      AtomicInteger taken = new AtomicInteger();
      await()
          .during(Duration.ofMillis(300))
          .until(() -> taken.getAndSet(messages - tunnel.waiting()) == messages - tunnel.waiting());
      assertTrue(
          taken.get() < BOUND_BYTES / much.size(), taken + " messages were taken for nobody");
      tunnel.go();
    }
  }

  private static void awaitQuiet(AtomicInteger count) {
    AtomicInteger last = new AtomicInteger(-1);
    await().during(Duration.ofMillis(300)).until(() -> last.getAndSet(count.get()) == count.get());
  }

  // ---- what agents may do wrong

  /** What a hostile agent says to an exec, after its Started or instead of it. */
  static Stream<Arguments> lies() {
    byte[] endless = {-1, -1, -1, -1, -1, -1};
    byte[] long3 = {(byte) 0x80, (byte) 0x80, (byte) 0x11}; // 278,528
    byte[] huge = {-1, -1, -1, -1, 0x0f};
    byte[] noMessage = {3, 7, 7, 7};
    return Stream.of(
        Arguments.of("a length without end", endless),
        Arguments.of("a length beyond the longest", long3),
        Arguments.of("a length of 4 GiB", huge),
        Arguments.of("what is no message", noMessage),
        Arguments.of("an empty message", new byte[] {0}),
        Arguments.of("what no exec is answered with", framed(agentSays().setDone(DONE))),
        Arguments.of("another start", framed(started(2))),
        Arguments.of("a status that none can be", framed(exited(256, 0))),
        Arguments.of("a signal that none can be", framed(exited(0, 65))),
        Arguments.of(
            "more data than a message may have",
            framed(agentSays().setStdout(ByteString.copyFrom(new byte[(64 << 10) + 1])))));
  }

  private static byte[] framed(AgentMessage.Builder message) {
    try (var out = new ByteArrayOutputStream()) {
      message.build().writeDelimitedTo(out);
      return out.toByteArray();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("lies")
  void anAgentThatLiesEndsItsCallAndNoMore(String what, byte[] lie) throws Exception {
    FakeTunnel tunnel = serve(exec(command("true")));
    try (Connection connection = agent.answer()) {
      heard(connection);
      connection.say(started(1));
      connection.sayRaw(lie);
      assertNull(connection.hear(), "the host hangs up");
    }
    assertFailure(ErrorReason.AGENT_FAILED, tunnel);

    FakeTunnel next = serve(exec(command("true")));
    try (Connection connection = agent.answer()) {
      heard(connection);
      connection.say(started(1));
      connection.say(exited(0, 0));
      assertEquals(Optional.empty(), next.awaitEnd());
    }
  }

  @Test
  void anAgentThatGoesInTheMiddleOfAMessageHasFailed() throws IOException {
    FakeTunnel tunnel = serve(exec(command("true")));
    try (Connection connection = agent.answer()) {
      heard(connection);
      connection.say(started(1));
      connection.sayRaw((byte) 50, (byte) 1);
    }
    assertFailure(ErrorReason.AGENT_FAILED, tunnel);
  }

  @Test
  void outputBeforeTheStartIsOutOfTurn() throws IOException {
    FakeTunnel tunnel = serve(exec(command("true")));
    try (Connection connection = agent.answer()) {
      heard(connection);
      connection.say(agentSays().setStdout(bytes("x")));
      assertNull(connection.hear());
    }
    assertFailure(ErrorReason.AGENT_FAILED, tunnel);
  }

  @Test
  void whatAnAgentHasSaidBeforeItWentIsHeard() throws IOException {
    FakeTunnel tunnel = serve(exec(command("true").setStdin(true)));
    try (Connection connection = agent.answer()) {
      heard(connection);
      connection.say(started(1));
      connection.say(exited(3, 0));
    }
    tunnel.say(TunnelDown.newBuilder().setExec(ExecRequest.newBuilder().setStdin(bytes("late"))));
    assertEquals(Optional.empty(), tunnel.awaitEnd());
  }

  @Test
  void anAgentThatTakesTheConnectionAndSaysNothingIsGivenUp() throws IOException {
    FakeTunnel tunnel = serve(exec(command("true")));
    try (Connection connection = agent.answer()) {
      heard(connection);
      await().until(() -> time.alarms() == 1);
      time.pass(AgentCall.ANSWER_WITHIN);
      assertNull(connection.hear());
    }
    assertFailure(ErrorReason.AGENT_UNAVAILABLE, tunnel);
  }

  @ParameterizedTest
  @EnumSource(
      value = Failure.Code.class,
      names = {"UNRECOGNIZED"},
      mode = EnumSource.Mode.EXCLUDE)
  void aFailureHasItsReasonAndNothingThatATerminalWouldObey(Failure.Code code) throws IOException {
    FakeTunnel tunnel = serve(exec(command("nothing")));
    try (Connection connection = agent.answer()) {
      heard(connection);
      connection.say(
          agentSays()
              .setFailure(
                  Failure.newBuilder()
                      .setCode(code)
                      .setMessage("nothing\033[2J" + "x".repeat(10_000))));
    }
    TunnelFailure failure = tunnel.awaitEnd().orElseThrow();
    assertTrue(failure.getMessage().startsWith("nothing?[2Jx"), failure.getMessage());
    assertEquals(500, failure.getMessage().length());
    ErrorReason expected =
        switch (code) {
          case INVALID -> ErrorReason.FIELD_INVALID;
          case NOT_FOUND -> ErrorReason.GUEST_NOT_FOUND;
          case PERMISSION_DENIED -> ErrorReason.GUEST_PERMISSION_DENIED;
          case NOT_EXECUTABLE -> ErrorReason.GUEST_NOT_EXECUTABLE;
          case REFUSED -> ErrorReason.PORT_REFUSED;
          case EXHAUSTED -> ErrorReason.GUEST_EXHAUSTED;
          case UNSUPPORTED -> ErrorReason.FIELD_UNSUPPORTED;
          case FAILED, CODE_UNSPECIFIED, UNRECOGNIZED -> ErrorReason.GUEST_FAILED;
        };
    assertEquals(expected.name(), failure.getReason());
  }

  // ---- reaching the agent

  @ParameterizedTest
  @CsvSource({"user, start.user", "key, ''", "start.name, ''"})
  void whatIsToBlameIsAFieldOfTheClientsOwn(String agents, String expected) throws IOException {
    FakeTunnel tunnel = serve(exec(command("true").setUser("nosuch")));
    try (Connection connection = agent.answer()) {
      heard(connection);
      connection.say(
          agentSays()
              .setFailure(Failure.newBuilder().setCode(Failure.Code.NOT_FOUND).setField(agents)));
      assertEquals(expected, tunnel.awaitEnd().orElseThrow().getField());
    }
  }

  @Test
  void aGuestThatBootsIsWaitedFor() throws IOException, InterruptedException {
    FakeTunnel tunnel = serve(exec(command("true")));
    agent.accept().close();
    for (int i = 0; i < 3; i++) {
      acceptAsTimePasses().close();
    }
    try (Connection connection = acceptAsTimePasses()) {
      connection.greet("OK 1\n");
      heard(connection);
      connection.say(started(1));
      connection.say(exited(0, 0));
      tunnel.next();
    }
    assertEquals(Optional.empty(), tunnel.awaitEnd());
  }

  private Connection acceptAsTimePasses() {
    CompletableFuture<Connection> accepted =
        CompletableFuture.supplyAsync(
            () -> {
              try {
                return agent.accept();
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            },
            Thread::startVirtualThread);
    await()
        .until(() -> {
          time.pass(Duration.ofMillis(100));
          return accepted.isDone();
        });
    return accepted.join();
  }

  @Test
  void aGuestWithoutAnAgentIsNotWaitedForWithoutEnd() throws IOException {
    FakeTunnel tunnel = serve(exec(command("true")));
    agent.accept().close();
    await().until(() -> time.alarms() == 1);
    time.pass(AgentCall.CONNECTED_WITHIN);

    assertFailure(ErrorReason.AGENT_UNAVAILABLE, tunnel);
  }

  @Test
  void aVmmThatDoesNotAnswerIsNotWaitedForWithoutEnd() throws IOException {
    FakeTunnel tunnel = serve(exec(command("true")));
    try (Connection connection = agent.accept()) {
      await().until(() -> time.alarms() == 1);
      time.pass(AgentCall.CONNECTED_WITHIN);
      assertFailure(ErrorReason.AGENT_UNAVAILABLE, tunnel);
      assertNull(connection.hear());
    }
  }

  @Test
  void aClientThatGoesMeanwhileEndsTheWaiting() throws IOException {
    FakeTunnel tunnel = serve(exec(command("true")));
    try (Connection connection = agent.accept()) {
      tunnel.go();
      assertNull(connection.hear());
    }
  }

  @Test
  void whoIsNotHereOrNotRunningOrDeafIsNotCalled() {
    FakeTunnel other = FakeTunnel.reading();
    calls.serve("u2", other);
    assertFailure(ErrorReason.MICROVM_NOT_FOUND, other);
    report = report.toBuilder().setState(MicroVmState.PAUSED).build();
    assertFailure(ErrorReason.STATE_CONFLICT, serve(exec(command("true"))));
    report = report.toBuilder().setState(MicroVmState.RUNNING).clearVsock().build();
    assertFailure(ErrorReason.AGENT_UNAVAILABLE, serve(exec(command("true"))));
    assertEquals(0, activity.size(), "nor does anybody remember it");
  }

  @Test
  void aGuestIsInUseWhileACallIsOpen() throws IOException, InterruptedException {
    time.pass(Duration.ofSeconds(5));
    assertEquals(Duration.ofSeconds(5), activity.quiet(UID, 0));
    FakeTunnel tunnel = serve(exec(command("true")));
    try (Connection connection = agent.answer()) {
      var _ = heard(connection);
      time.pass(Duration.ofSeconds(5));
      assertEquals(Duration.ZERO, activity.quiet(UID, 0));
      connection.say(started(1));
      tunnel.next();
      connection.say(exited(0, 0));
      tunnel.next();
    }
    assertEquals(Optional.empty(), tunnel.awaitEnd());
    await().until(() -> calls.count() == 0);
    time.pass(Duration.ofSeconds(3));
    assertEquals(Duration.ofSeconds(3), activity.quiet(UID, 0));
  }

  @Test
  void aCallThatOutlivesItsMicroVmLeavesNothing() throws IOException, InterruptedException {
    FakeTunnel tunnel = serve(exec(command("true")));
    try (Connection connection = agent.answer()) {
      var _ = heard(connection);
      activity.forget(UID);
    }
    assertFailure(ErrorReason.AGENT_FAILED, tunnel);
    await().until(() -> calls.count() == 0);
    assertEquals(0, activity.size());
  }

  @Test
  void callsHaveALimitAndGiveTheirPlacesBack() {
    List<FakeTunnel> open = new ArrayList<>();
    for (int i = 0; i < AgentCalls.MOST_OF_ONE; i++) {
      FakeTunnel tunnel = FakeTunnel.reading();
      calls.serve(UID, tunnel);
      open.add(tunnel);
    }
    await().until(() -> calls.count() == AgentCalls.MOST_OF_ONE);
    assertFailure(ErrorReason.TUNNELS_EXHAUSTED, serve(exec(command("true"))));

    open.forEach(FakeTunnel::go);
    await().until(() -> calls.count() == 0);
    FakeTunnel next = serve(exec(command("true")));
    await().until(() -> calls.count() == 1);
    assertFalse(next.ended.isDone());
    next.go();
  }

  // ---- files

  private static FileEntry.Builder file(String path, long size) {
    return FileEntry.newBuilder()
        .setType(FileEntry.Type.REGULAR)
        .setPath(path)
        .setMode(0644)
        .setUid(1)
        .setGid(2)
        .setModificationTime(Timestamp.newBuilder().setSeconds(3))
        .setSize(size);
  }

  private static dev.vireo.proto.agent.v1.FileEntry.Builder guestFile(String path, long size) {
    return dev.vireo.proto.agent.v1.FileEntry.newBuilder()
        .setType(dev.vireo.proto.agent.v1.FileEntry.Type.REGULAR)
        .setPath(path)
        .setMode(0644)
        .setUid(1)
        .setGid(2)
        .setModificationTime(3)
        .setSize(size);
  }

  private static dev.vireo.proto.agent.v1.FileEntry.Builder guestDirectory(String path) {
    return guestFile(path, 0).setType(dev.vireo.proto.agent.v1.FileEntry.Type.DIRECTORY);
  }

  private static TunnelDown.Builder copyIn(CopyInRequest.Builder request) {
    return TunnelDown.newBuilder().setCopyIn(request);
  }

  private FakeTunnel copyIn() {
    return serve(
        copyIn(
            CopyInRequest.newBuilder()
                .setStart(CopyInStart.newBuilder().setPath("/d").setIntoDirectory(true))));
  }

  @Test
  void filesGoInAndAreCounted() throws IOException, InterruptedException {
    FakeTunnel tunnel = copyIn();
    tunnel.say(copyIn(CopyInRequest.newBuilder().setEntry(file("a", 5))));
    tunnel.say(copyIn(CopyInRequest.newBuilder().setData(bytes("he"))));
    tunnel.say(copyIn(CopyInRequest.newBuilder().setData(bytes("llo"))));
    tunnel.say(copyIn(CopyInRequest.newBuilder().setEntry(file("b", 0))));
    tunnel.halfClose();
    try (Connection connection = agent.answer()) {
      assertEquals("/d", heard(connection).getWrite().getPath());
      assertEquals(guestFile("a", 5).build(), heard(connection).getEntry());
      assertEquals(bytes("he"), heard(connection).getData());
      assertEquals(bytes("llo"), heard(connection).getData());
      assertEquals(guestFile("b", 0).build(), heard(connection).getEntry());
      assertTrue(heard(connection).hasEnd());
      connection.say(agentSays().setDone(DONE));
      TunnelUp done = tunnel.next();
      assertEquals(2, done.getCopyIn().getEntries());
      assertEquals(5, done.getCopyIn().getBytes());
    }
    assertEquals(Optional.empty(), tunnel.awaitEnd());
  }

  @Test
  void aSizeThatContentDoesNotHaveIsRefused() throws IOException {
    List<List<CopyInRequest.Builder>> wrong =
        List.of(
            List.of(CopyInRequest.newBuilder().setData(bytes("x"))),
            List.of(
                CopyInRequest.newBuilder().setEntry(file("a", 1)),
                CopyInRequest.newBuilder().setData(bytes("xx"))),
            List.of(
                CopyInRequest.newBuilder().setEntry(file("a", 1)),
                CopyInRequest.newBuilder().setEntry(file("b", 1))),
            List.of(CopyInRequest.newBuilder().setEntry(file("a", 1))));
    for (List<CopyInRequest.Builder> requests : wrong) {
      FakeTunnel tunnel = copyIn();
      requests.forEach(request -> tunnel.say(copyIn(request)));
      tunnel.halfClose();
      try (Connection connection = agent.answer()) {
        for (HostMessage next = connection.hear(); next != null; next = connection.hear()) {
          assertFalse(next.hasEnd(), "as if all were there");
        }
      }
      assertFailure(ErrorReason.FIELD_INVALID, tunnel);
    }
  }

  @Test
  void anAgentThatIsDoneTooEarlyIsNotBelieved() throws IOException {
    FakeTunnel tunnel = copyIn();
    try (Connection connection = agent.answer()) {
      heard(connection);
      connection.say(agentSays().setDone(DONE));
      assertNull(connection.hear());
    }
    assertFailure(ErrorReason.AGENT_FAILED, tunnel);
  }

  private FakeTunnel copyOut() {
    FakeTunnel tunnel =
        serve(TunnelDown.newBuilder().setCopyOut(CopyOutRequest.newBuilder().setPath("/d")));
    tunnel.halfClose();
    return tunnel;
  }

  @Test
  void filesComeOut() throws IOException, InterruptedException {
    FakeTunnel tunnel = copyOut();
    try (Connection connection = agent.answer()) {
      assertEquals("/d", heard(connection).getRead().getPath());
      connection.say(agentSays().setEntry(guestDirectory("")));
      connection.say(agentSays().setEntry(guestFile("a", 5)));
      connection.say(agentSays().setData(bytes("hello")));
      connection.say(agentSays().setEnd(END));
      assertEquals(
          file("", 0).setType(FileEntry.Type.DIRECTORY).build(),
          tunnel.next().getCopyOut().getEntry());
      assertEquals(file("a", 5).build(), tunnel.next().getCopyOut().getEntry());
      assertEquals(bytes("hello"), tunnel.next().getCopyOut().getData());
    }
    assertEquals(Optional.empty(), tunnel.awaitEnd());
  }

  /** What a hostile agent says of what is in a directory. */
  static Stream<AgentMessage.Builder> entriesThatNoFileHas() {
    return Stream.of(
        agentSays().setEntry(guestFile("", 0)),
        agentSays().setEntry(guestDirectory("")),
        agentSays().setEntry(guestFile("/etc/passwd", 0)),
        agentSays().setEntry(guestFile("../x", 0)),
        agentSays().setEntry(guestFile("a/../../x", 0)),
        agentSays().setEntry(guestFile("a//b", 0)),
        agentSays().setEntry(guestFile("a/.", 0)),
        agentSays().setEntry(guestFile("a\0b", 0)),
        agentSays().setEntry(guestFile("x".repeat(4_096), 0)),
        agentSays().setEntry(guestFile("a", -1)),
        agentSays().setEntry(guestFile("a", 0).setMode(0_10000)),
        agentSays()
            .setEntry(
                guestFile("a", 0)
                    .setType(dev.vireo.proto.agent.v1.FileEntry.Type.TYPE_UNSPECIFIED)),
        agentSays().setEntry(guestFile("a", 0).setTypeValue(9)),
        agentSays().setEntry(guestFile("a", 0).setLinkTarget("b")),
        agentSays()
            .setEntry(
                guestFile("a", 0).setType(dev.vireo.proto.agent.v1.FileEntry.Type.SYMBOLIC_LINK)),
        agentSays().setEntry(guestDirectory("a").setSize(1)),
        agentSays().setData(bytes("of no file")),
        agentSays().setDone(DONE));
  }

  @ParameterizedTest
  @MethodSource("entriesThatNoFileHas")
  void whatCannotBeAFileDoesNotComeOut(AgentMessage.Builder lie) throws IOException {
    FakeTunnel tunnel = copyOut();
    try (Connection connection = agent.answer()) {
      heard(connection);
      connection.say(agentSays().setEntry(guestDirectory("")));
      connection.say(lie);
    }
    assertFailure(ErrorReason.AGENT_FAILED, tunnel);
    assertEquals(1, tunnel.unread(), "but for the directory itself");
  }

  /** Nor what a hostile agent begins with. */
  static Stream<AgentMessage.Builder> whatNoReadBeginsWith() {
    return Stream.of(
        agentSays().setEntry(guestFile("a", 0)),
        agentSays().setEntry(guestDirectory("a")),
        // Links there are followed.
        agentSays()
            .setEntry(
                guestFile("", 0)
                    .setType(dev.vireo.proto.agent.v1.FileEntry.Type.SYMBOLIC_LINK)
                    .setLinkTarget("/etc/passwd")),
        agentSays().setData(bytes("of no file")),
        agentSays().setEnd(END));
  }

  @ParameterizedTest
  @MethodSource("whatNoReadBeginsWith")
  void thePathItselfComesFirstAndIsNoLink(AgentMessage.Builder lie) throws IOException {
    FakeTunnel tunnel = copyOut();
    try (Connection connection = agent.answer()) {
      heard(connection);
      connection.say(lie);
    }
    assertFailure(ErrorReason.AGENT_FAILED, tunnel);
    assertEquals(0, tunnel.unread());
  }

  @Test
  void belowAFileThereIsNothing() throws IOException {
    FakeTunnel tunnel = copyOut();
    try (Connection connection = agent.answer()) {
      heard(connection);
      connection.say(agentSays().setEntry(guestFile("", 0)));
      connection.say(agentSays().setEntry(guestFile("a", 0)));
    }
    assertFailure(ErrorReason.AGENT_FAILED, tunnel);
    assertEquals(1, tunnel.unread());
  }

  @Test
  void aFileThatIsShorterThanItsSizeIsNoWholeFile() throws IOException {
    FakeTunnel tunnel = copyOut();
    try (Connection connection = agent.answer()) {
      heard(connection);
      connection.say(agentSays().setEntry(guestFile("", 5)));
      connection.say(agentSays().setData(bytes("he")));
      connection.say(agentSays().setEnd(END));
    }
    assertFailure(ErrorReason.AGENT_FAILED, tunnel);
  }

  // ---- ports

  private static TunnelDown.Builder port(PortForwardRequest.Builder request) {
    return TunnelDown.newBuilder().setPortForward(request);
  }

  private FakeTunnel forward() {
    return serve(
        port(
            PortForwardRequest.newBuilder().setStart(PortForwardStart.newBuilder().setPort(8080))));
  }

  @Test
  void bytesGoBothWaysEachUntilItsEnd() throws IOException, InterruptedException {
    FakeTunnel tunnel = forward();
    try (Connection connection = agent.answer()) {
      assertEquals(
          ConnectRequest.newBuilder().setPort(8080).build(), heard(connection).getConnect());
      connection.say(agentSays().setDone(DONE));
      assertTrue(tunnel.next().getPortForward().hasConnected());
      connection.say(agentSays().setData(bytes("hello")));
      assertEquals(bytes("hello"), tunnel.next().getPortForward().getData());
      connection.say(agentSays().setEnd(END));
      assertTrue(tunnel.next().getPortForward().hasEnd());
      tunnel.say(port(PortForwardRequest.newBuilder().setData(bytes("still here"))));
      assertEquals(bytes("still here"), heard(connection).getData());
      assertFalse(tunnel.ended.isDone());
      tunnel.say(port(PortForwardRequest.newBuilder().setEnd(StreamEnd.getDefaultInstance())));
      assertTrue(heard(connection).hasEnd());
      assertEquals(Optional.empty(), tunnel.awaitEnd());
      assertNull(connection.hear());
    }
  }

  @Test
  void aPortWhereNobodyListensIsRefused() throws IOException {
    FakeTunnel tunnel = forward();
    try (Connection connection = agent.answer()) {
      heard(connection);
      connection.say(agentSays().setFailure(Failure.newBuilder().setCode(Failure.Code.REFUSED)));
    }
    assertFailure(ErrorReason.PORT_REFUSED, tunnel);
  }

  @Test
  void aPeerThatBreaksOffIsNoEnd() throws IOException, InterruptedException {
    FakeTunnel tunnel = forward();
    try (Connection connection = agent.answer()) {
      heard(connection);
      connection.say(agentSays().setDone(DONE));
      tunnel.next();
    }
    assertFailure(ErrorReason.AGENT_FAILED, tunnel);
  }

  /** Who has ended one direction, and has gone, takes nothing in the other. */
  @Test
  void whoSendsToAServerThatHasGoneIsTold() throws IOException, InterruptedException {
    FakeTunnel tunnel = forward();
    try (Connection connection = agent.answer()) {
      heard(connection);
      connection.say(agentSays().setDone(DONE));
      assertTrue(tunnel.next().getPortForward().hasConnected());
      connection.say(agentSays().setEnd(END));
      assertTrue(tunnel.next().getPortForward().hasEnd());
      connection.say(agentSays().setFailure(Failure.newBuilder().setCode(Failure.Code.FAILED)));
    }
    tunnel.say(port(PortForwardRequest.newBuilder().setData(bytes("for nobody"))));
    assertFailure(ErrorReason.AGENT_FAILED, tunnel);
  }
}
