package dev.vireo.cli;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecResponse;
import dev.vireo.proto.v1.ExecStart;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import io.grpc.Channel;
import io.grpc.ManagedChannel;
import io.grpc.Server;
import io.grpc.inprocess.InProcessChannelBuilder;
import io.grpc.inprocess.InProcessServerBuilder;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Commands in guests: what goes there, what comes back, and what a script is told. */
final class ExecCommandTest {
  private final FakeController controller = new FakeController();
  private final Cli cli = new Cli(controller);

  @AfterEach
  void close() {
    controller.close();
  }

  private ExecStart start() {
    return controller.guest.execs.getFirst().getStart();
  }

  @Test
  void everythingAboutTheCommandIsPassedOn() {
    assertEquals(
        0,
        cli.run(
            "exec",
            "-e",
            "A=1=1",
            "-e",
            "B=",
            "-w",
            "/tmp",
            "-u",
            "nobody:nogroup",
            "web-1",
            "--",
            "say",
            "--tty",
            "-x",
            "--"));

    assertEquals(
        ExecStart.newBuilder()
            .setName("projects/default/microvms/web-1")
            .addAllArguments(List.of("say", "--tty", "-x", "--"))
            .putEnvironment("A", "1=1")
            .putEnvironment("B", "")
            .setWorkingDirectory("/tmp")
            .setUser("nobody:nogroup")
            .build(),
        start());
    assertEquals("--tty", cli.out());
    assertEquals("complaint", cli.err());
  }

  @Test
  void theDashesMayBeLeftOut() {
    assertEquals(0, cli.run("exec", "web-1", "say", "-i"));
    assertEquals(List.of("say", "-i"), start().getArgumentsList());
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "7", "255"})
  void theCommandsStatusIsOurs(String status) {
    assertEquals(Integer.parseInt(status), cli.run("exec", "web-1", "--", "exit", status));
  }

  @Test
  void inputPassesUnchangedToItsEnd() {
    byte[] bytes = new byte[300_000];
    new Random(1).nextBytes(bytes);
    cli.with(new ByteArrayInputStream(bytes));

    assertEquals(0, cli.run("exec", "-i", "web-1", "--", "cat"));

    assertArrayEquals(bytes, cli.bytes());
    assertTrue(controller.guest.execs.getLast().hasStdinEnd());
  }

  @Test
  void withoutMinusIThereIsNoInput() {
    cli.with(new ByteArrayInputStream(new byte[10]));
    assertEquals(0, cli.run("exec", "web-1", "--", "exit", "0"));
    assertEquals(1, controller.guest.execs.size());
  }

  @Test
  void aDetachedCommandIsLeft() {
    assertEquals(0, cli.run("exec", "-d", "web-1", "--", "sleep"));
    assertTrue(start().getDetach());
    assertEquals("", cli.out());
  }

  @ParameterizedTest
  @CsvSource({
    "GUEST_NOT_FOUND, 127",
    "GUEST_NOT_EXECUTABLE, 126",
    "GUEST_PERMISSION_DENIED, 126",
    "AGENT_UNAVAILABLE, 125",
    "MICROVM_NOT_FOUND, 125",
    "NODE_UNREACHABLE, 125"
  })
  void failuresOfOursAreNoStatusOfTheCommands(String reason, int status) {
    assertEquals(status, cli.run("exec", "web-1", "--", "refuse", reason));
    assertTrue(cli.err().startsWith("error: as was asked for\n"), cli.err());
    assertTrue(cli.err().contains("reason: " + reason), cli.err());
    assertTrue(cli.err().contains("remedy: "), cli.err());
  }

  @ParameterizedTest
  @CsvSource({"start.arguments, 127", "start.user, 126", "start.working_directory, 126"})
  void whatIsNotThereMayBeTheUserAndNotTheCommand(String field, int status) {
    assertEquals(status, cli.run("exec", "web-1", "--", "refuse", "GUEST_NOT_FOUND", field));
    assertTrue(cli.err().startsWith("error: " + field + ": as was asked for\n"), cli.err());
  }

  @Test
  void anEndWithoutAStatusIsAFailure() {
    assertEquals(125, cli.run("exec", "web-1", "--", "vanish"));
    assertTrue(cli.err().contains("error: the call ended"), cli.err());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"exec", "exec web-1", "exec web-1 --", "exec -d -i web-1 x", "exec -z x y"})
  void aWrongCommandLineIsAFailureOfOurs(String line) {
    assertEquals(125, cli.run(line.split(" ")));
    assertTrue(cli.err().contains("vireo exec --help"), cli.err());
    assertTrue(controller.guest.execs.isEmpty());
  }

  @Test
  void helpNamesTheStatuses() {
    assertEquals(0, cli.run("exec", "--help"));
    for (String part : List.of("NAME -- COMMAND [ARG...]", "125", "126", "127")) {
      assertTrue(cli.out().contains(part), cli.out());
    }
  }

  @Test
  void onATerminalAGuestsBytesAreMadeHarmless() {
    cli.onTerminal();
    assertEquals(0, cli.run("exec", "web-1", "--", "say", "a\u001b]0;title\u0007b"));
    assertEquals("ab", cli.out());
  }

  @Test
  void eachOutputIsMadeHarmlessIfItIsATerminal() {
    String hostile = "a\u001b]0;title\u0007b";

    cli.onTerminal(false, true).run("exec", "web-1", "--", "say-twice", hostile);
    assertEquals(hostile, cli.out());
    assertEquals("ab", cli.err());

    cli.onTerminal(true, false).run("exec", "web-1", "--", "say-twice", hostile);
    assertEquals("ab", cli.out());
    assertEquals(hostile, cli.err());
  }

  /** A terminal that writes down what is done to it. */
  private static final class RecordingTerminal implements Terminal {
    final List<String> told = new ArrayList<>();

    @Override
    public boolean isThere() {
      return true;
    }

    @Override
    public Optional<ConsoleSize> size() {
      return Optional.of(ConsoleSize.newBuilder().setColumns(100).setRows(30).build());
    }

    @Override
    public Cleanup.Task makeRaw() {
      told.add("raw");
      return () -> told.add("restored");
    }
  }

  @Test
  void aTerminalHasTheSizeOfOursWhichIsRawMeanwhile() {
    RecordingTerminal terminal = new RecordingTerminal();
    cli.with(terminal).with("TERM", "xterm").onTerminal();
    cli.with(new ByteArrayInputStream("\003".getBytes(StandardCharsets.US_ASCII)));

    assertEquals(0, cli.run("exec", "-it", "web-1", "--", "cat"));

    assertEquals(100, start().getTerminal().getColumns());
    assertEquals(30, start().getTerminal().getRows());
    assertEquals("xterm", start().getEnvironmentOrThrow("TERM"));
    assertEquals(List.of("raw", "restored"), terminal.told);
    assertEquals("\003", cli.out(), "a terminal's bytes pass unchanged");
  }

  @Test
  void aTerminalIsRestoredWhenTheCommandFails() {
    RecordingTerminal terminal = new RecordingTerminal();
    cli.with(terminal);
    assertEquals(127, cli.run("exec", "-it", "web-1", "--", "refuse", "GUEST_NOT_FOUND"));
    assertEquals(List.of("raw", "restored"), terminal.told);
  }

  @Test
  void withoutInputTheTerminalKeepsItsKeys() {
    RecordingTerminal terminal = new RecordingTerminal();
    cli.with(terminal);
    assertEquals(0, cli.run("exec", "-t", "web-1", "--", "exit", "0"));
    assertEquals(List.of(), terminal.told);
  }

  @Test
  void whoHasEnoughOfOurOutputEndsTheCommandQuietly() {
    assertEquals(141, cli.intoClosedPipe().run("exec", "web-1", "--", "flood"));

    assertEquals("", cli.err());
    await().until(() -> controller.guest.cancelled.contains("exec"));
  }

  /** After these, each of which waits until it is taken. */
  private static boolean signal(Channel guest, ExecRequest... before) {
    try (DuplexCall<ExecRequest, ExecResponse> call =
        new DuplexCall<>(responses -> MicroVmServiceGrpc.newStub(guest).exec(responses))) {
      List.of(before).forEach(call::send);
      return RemoteCommand.input(call).signal(15);
    }
  }

  @Test
  void aSignalDoesNotWaitBehindInputThatNobodyReads() throws IOException {
    Server deaf =
        InProcessServerBuilder.forName("deaf")
            .addService(
                new MicroVmServiceGrpc.MicroVmServiceImplBase() {
                  @Override
                  public StreamObserver<ExecRequest> exec(StreamObserver<ExecResponse> client) {
                    ((ServerCallStreamObserver<ExecResponse>) client).disableAutoRequest();
                    return super.exec(new NoObserver());
                  }
                })
            .build()
            .start();
    ManagedChannel toDeaf = InProcessChannelBuilder.forName("deaf").build();
    ManagedChannel toGuest = InProcessChannelBuilder.forName(controller.serverName).build();
    try {
      assertFalse(signal(toDeaf));
      ExecStart waits = ExecStart.newBuilder().addArguments("wait").build();
      assertTrue(signal(toGuest, ExecRequest.newBuilder().setStart(waits).build()));
      assertEquals(15, controller.guest.execs.getLast().getSignal());
    } finally {
      toDeaf.shutdownNow();
      toGuest.shutdownNow();
      deaf.shutdownNow();
    }
  }

  /** Whatever is said to it. */
  private static final class NoObserver implements StreamObserver<ExecResponse> {
    @Override
    public void onNext(ExecResponse response) {}

    @Override
    public void onError(Throwable error) {}

    @Override
    public void onCompleted() {}
  }
}
