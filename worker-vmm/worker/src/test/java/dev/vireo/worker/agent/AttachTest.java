package dev.vireo.worker.agent;

import static java.util.Objects.requireNonNull;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.Done;
import dev.vireo.proto.agent.v1.ExecRequest;
import dev.vireo.proto.agent.v1.Exited;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.agent.v1.Started;
import dev.vireo.proto.agent.v1.TerminalSize;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.AttachRequest;
import dev.vireo.proto.v1.AttachResponse;
import dev.vireo.proto.v1.AttachStart;
import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.Container;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.StdinEnd;
import dev.vireo.proto.v1.VsockStatus;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelFailure;
import dev.vireo.worker.agent.FakeAgent.Connection;
import dev.vireo.worker.container.Supervision;
import dev.vireo.worker.log.OutputLog;
import dev.vireo.worker.time.SystemTime;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Clients at a container's process, with an agent that does what the test says. */
@Timeout(60)
class AttachTest {
  private static final ExecRequest PLAIN =
      ExecRequest.newBuilder().setKey("main").addArguments("/tool").build();

  private static final ExecRequest SHELL =
      PLAIN.toBuilder()
          .setStdin(true)
          .setTerminal(TerminalSize.newBuilder().setColumns(80).setRows(24))
          .build();

  private static final ByteString MUCH = ByteString.copyFrom(new byte[64 << 10]);

  @TempDir private Path directory;
  private final SystemTime time = new SystemTime();
  private final BlockingQueue<String> told = new LinkedBlockingQueue<>();
  private FakeAgent agent;
  private ContainerProcesses processes;
  private AgentCalls calls;
  private @Nullable Supervision supervision;

  @BeforeEach
  void listen() throws IOException {
    Path socket = directory.resolve("vsock");
    agent = new FakeAgent(socket);
    processes = new ContainerProcesses(time, RandomGenerator.of("L64X128MixRandom"));
    MicroVmReport report =
        MicroVmReport.newBuilder()
            .setState(MicroVmState.RUNNING)
            .setVsock(VsockStatus.newBuilder().setSocket(socket.toString()))
            .build();
    calls = new AgentCalls(_ -> Optional.of(report), processes, new Activity(time), time);
  }

  @AfterEach
  void nothingIsLeft() throws Exception {
    agent.close();
    drain().get(10, TimeUnit.SECONDS);
    await().until(() -> calls.count() == 0);
    time.close();
  }

  private CompletableFuture<Void> drain() {
    return requireNonNull(supervision).drain();
  }

  /** The process runs; this is the agent's end of its connection. */
  private Connection run(ExecRequest process) throws Exception {
    supervision =
        processes.supervise(
            directory.resolve("vsock"),
            process,
            Container.getDefaultInstance(),
            new OutputLog(directory.resolve("output"), 1 << 20),
            new Supervision.Listener() {
              @Override
              public void started() {
                told.add("started");
              }

              @Override
              public void ready() {}

              @Override
              public void ended(int exitStatus, String how) {
                told.add(how);
              }

              @Override
              public void failed(String why) {
                told.add(why);
              }
            });
    try (Connection seed = agent.answer()) {
      seed.hear();
      seed.say(AgentMessage.newBuilder().setDone(Done.getDefaultInstance()));
    }
    Connection connection = agent.answer();
    connection.hear();
    connection.say(AgentMessage.newBuilder().setStarted(Started.newBuilder().setPid(7)));
    assertEquals("started", told());
    return connection;
  }

  private String told() throws InterruptedException {
    return requireNonNull(told.poll(10, TimeUnit.SECONDS), "nothing is told");
  }

  private static TunnelDown.Builder down(AttachRequest.Builder request) {
    return TunnelDown.newBuilder().setAttach(request);
  }

  private static TunnelDown.Builder stdin(ByteString bytes) {
    return down(AttachRequest.newBuilder().setStdin(bytes));
  }

  private static ByteString bytes(String text) {
    return ByteString.copyFromUtf8(text);
  }

  private FakeTunnel attach(FakeTunnel tunnel, AttachStart.Builder start) {
    tunnel.say(down(AttachRequest.newBuilder().setStart(start)));
    calls.serve("u1", tunnel);
    return tunnel;
  }

  /** One that is attached, and has been told so. */
  private FakeTunnel attach(AttachStart.Builder start) throws InterruptedException {
    FakeTunnel tunnel = attach(FakeTunnel.reading(), start);
    assertTrue(tunnel.next().getAttach().hasStarted());
    return tunnel;
  }

  private static AttachStart.Builder withStdin() {
    return AttachStart.newBuilder().setStdin(true);
  }

  private static void say(Connection connection, String text) throws IOException {
    connection.say(AgentMessage.newBuilder().setStdout(bytes(text)));
  }

  private static void exit(Connection connection, int status) throws IOException {
    connection.say(AgentMessage.newBuilder().setExited(Exited.newBuilder().setStatus(status)));
  }

  private static String out(FakeTunnel tunnel) throws InterruptedException {
    AttachResponse response = tunnel.next().getAttach();
    assertTrue(response.hasStdout(), response::toString);
    return response.getStdout().toStringUtf8();
  }

  private static void assertFailure(ErrorReason reason, FakeTunnel tunnel) {
    Optional<TunnelFailure> ended = tunnel.awaitEnd();
    assertEquals(reason.name(), ended.orElseThrow().getReason(), ended::toString);
  }

  @Test
  void aTerminalIsSizedFedReadAndItsEndTold() throws Exception {
    ConsoleSize size = ConsoleSize.newBuilder().setColumns(100).setRows(30).build();
    try (Connection connection = run(SHELL)) {
      FakeTunnel tunnel = attach(withStdin().setTerminal(size));
      assertEquals(
          HostMessage.newBuilder()
              .setResize(TerminalSize.newBuilder().setColumns(100).setRows(30))
              .build(),
          connection.hear());
      tunnel.say(stdin(bytes("ls\n")));
      assertEquals(bytes("ls\n"), requireNonNull(connection.hear()).getData());
      tunnel.say(down(AttachRequest.newBuilder().setSignal(2)));
      assertEquals(2, requireNonNull(connection.hear()).getSignal());
      say(connection, "file\n");
      assertEquals("file\n", out(tunnel));
      connection.say(AgentMessage.newBuilder().setStderr(bytes("!")));
      assertEquals(bytes("!"), tunnel.next().getAttach().getStderr());
      exit(connection, 7);
      assertEquals(7, tunnel.next().getAttach().getExited().getStatus());
      assertEquals(Optional.empty(), tunnel.awaitEnd());
      assertEquals("exit status 7", told());
    }
  }

  @Test
  void whatWasWrittenBeforeIsThereIfAskedFor() throws Exception {
    try (Connection connection = run(PLAIN)) {
      FakeTunnel witness = attach(AttachStart.newBuilder());
      say(connection, "before");
      assertEquals("before", out(witness));

      FakeTunnel all = attach(AttachStart.newBuilder().setOffset(0));
      FakeTunnel fromNow = attach(AttachStart.newBuilder());
      say(connection, "after");

      assertEquals("before", out(all));
      assertEquals("after", out(all));
      assertEquals("after", out(fromNow));
      FakeTunnel inputOnly = attach(AttachStart.newBuilder().setOffset(0).setInputOnly(true));
      exit(connection, 0);
      assertTrue(inputOnly.next().getAttach().hasExited());
      assertFailure(
          ErrorReason.STATE_CONFLICT, attach(FakeTunnel.reading(), AttachStart.newBuilder()));
    }
  }

  @Test
  void anOffsetBeyondTheEndIsRefused() throws Exception {
    try (Connection connection = run(PLAIN)) {
      FakeTunnel tunnel = attach(AttachStart.newBuilder().setOffset(1 << 20));
      exit(connection, 0);
      assertFailure(ErrorReason.LOG_OFFSET_INVALID, tunnel);
    }
  }

  @Test
  void standardInputHasOneWriterAtATime() throws Exception {
    try (Connection connection = run(SHELL)) {
      FakeTunnel first = attach(withStdin());
      assertFailure(ErrorReason.STDIN_BUSY, attach(FakeTunnel.reading(), withStdin()));
      FakeTunnel reader = attach(AttachStart.newBuilder());

      first.go();
      await().until(() -> calls.count() == 1);
      FakeTunnel second = attach(withStdin());
      second.say(stdin(bytes("mine")));
      assertEquals(bytes("mine"), requireNonNull(connection.hear()).getData());
      second.say(down(AttachRequest.newBuilder().setStdinEnd(StdinEnd.getDefaultInstance())));
      assertTrue(requireNonNull(connection.hear()).hasEnd());
      second.go();
      await().until(() -> calls.count() == 1);
      assertFailure(ErrorReason.STATE_CONFLICT, attach(FakeTunnel.reading(), withStdin()));
      reader.go();
    }
  }

  @Test
  void whatTheProcessDoesNotHaveIsRefused() throws Exception {
    ConsoleSize size = ConsoleSize.newBuilder().setColumns(1).setRows(1).build();
    try (Connection connection = run(PLAIN)) {
      assertFailure(ErrorReason.FIELD_INVALID, attach(FakeTunnel.reading(), withStdin()));
      assertFailure(
          ErrorReason.FIELD_INVALID,
          attach(FakeTunnel.reading(), AttachStart.newBuilder().setTerminal(size)));
      FakeTunnel resizing = attach(AttachStart.newBuilder());
      resizing.say(down(AttachRequest.newBuilder().setResize(size)));
      assertFailure(ErrorReason.FIELD_INVALID, resizing);
      FakeTunnel typing = attach(AttachStart.newBuilder());
      typing.say(stdin(bytes("x")));
      assertFailure(ErrorReason.FIELD_INVALID, typing);
      exit(connection, 0);
      assertEquals("exit status 0", told(), "and nothing of it has reached the process");
    }
  }

  @Test
  void aClientThatDoesNotReadHoldsUpNobody() throws Exception {
    try (Connection connection = run(PLAIN)) {
      FakeTunnel tunnel = attach(new FakeTunnel(), AttachStart.newBuilder());
      for (int i = 0; i < 64; i++) {
        connection.say(AgentMessage.newBuilder().setStdout(MUCH));
      }
      exit(connection, 0);
      assertEquals("exit status 0", told());
      assertEquals(0, tunnel.unread());
      tunnel.go();
    }
  }

  @Test
  void aProcessThatDoesNotReadHoldsUpItsClientWhoMayGoAtAnyTime() throws Exception {
    try (Connection connection = run(SHELL)) {
      FakeTunnel tunnel = attach(withStdin());
      for (int i = 0; i < 640; i++) {
        tunnel.say(stdin(MUCH));
      }
      await().until(() -> tunnel.waiting() < 640);
      await()
          .during(java.time.Duration.ofMillis(300))
          .until(() -> tunnel.waiting() > 640 - (4 << 20) / MUCH.size());

      tunnel.go();
      await().until(() -> calls.count() == 0);

      say(connection, "still here");
      exit(connection, 0);
      assertEquals("exit status 0", told(), "over the same connection");
    }
  }

  @Test
  void aGuestThatGoesIsNoEndOfTheProcess() throws Exception {
    FakeTunnel tunnel;
    CompletableFuture<Void> drained;
    try (Connection connection = run(PLAIN)) {
      tunnel = attach(AttachStart.newBuilder());
      drained = drain();
      say(connection, "last words");
    }
    drained.get(10, TimeUnit.SECONDS);
    assertEquals("last words", out(tunnel));
    assertFailure(ErrorReason.STATE_CONFLICT, tunnel);
    assertFalse(told.contains("exit status 0"));
  }
}
