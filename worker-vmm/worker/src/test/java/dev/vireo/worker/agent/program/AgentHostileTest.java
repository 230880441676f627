package dev.vireo.worker.agent.program;

import static dev.vireo.worker.agent.program.Agent.PATIENCE;
import static dev.vireo.worker.agent.program.Agent.command;
import static dev.vireo.worker.agent.program.Agent.exec;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.Failure;
import dev.vireo.proto.agent.v1.FileEntry;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.agent.v1.SeedRequest;
import dev.vireo.proto.agent.v1.ShutdownRequest;
import dev.vireo.proto.agent.v1.Status;
import dev.vireo.proto.agent.v1.StatusRequest;
import dev.vireo.proto.agent.v1.TerminalSize;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Hosts that break the rules, or ask for more than there is, hurt their own connection only. */
class AgentHostileTest {
  private static final HostMessage STATUS =
      HostMessage.newBuilder().setStatus(StatusRequest.getDefaultInstance()).build();

  private final Path directory;
  private final Agent agent;

  AgentHostileTest(@TempDir Path directory) throws IOException {
    this.directory = directory;
    this.agent = Agent.start(directory);
  }

  @AfterEach
  void stop() {
    agent.close();
  }

  @Test
  void theStatusTellsVersionProcessesAndTime() throws Exception {
    Status status = agent.answer(STATUS).getStatus();
    assertTrue(status.getVersion().startsWith("0."), status::toString);
    assertEquals(0, status.getProcesses());
    try (Talk talk = agent.talk(exec(command("sleep", "1000")))) {
      assertTrue(talk.hear().hasStarted());
      Status later = agent.answer(STATUS).getStatus();
      assertEquals(1, later.getProcesses());
      assertTrue(later.getUptimeNs() > status.getUptimeNs(), "CLOCK_BOOTTIME goes on");
    }
  }

  @Test
  void entropyIsTakenUpToItsLimit() throws Exception {
    assertTrue(agent.answer(seed(new byte[512])).hasDone());
    assertEquals(Failure.Code.INVALID, agent.answer(seed(new byte[513])).getFailure().getCode());
  }

  private static HostMessage seed(byte[] entropy) {
    return HostMessage.newBuilder()
        .setSeed(SeedRequest.newBuilder().setEntropy(ByteString.copyFrom(entropy)))
        .build();
  }

  @Test
  void onlyAnInitProcessPowersOff() throws Exception {
    HostMessage shutdown =
        HostMessage.newBuilder().setShutdown(ShutdownRequest.getDefaultInstance()).build();

    assertEquals(Failure.Code.UNSUPPORTED, agent.answer(shutdown).getFailure().getCode());
    assertTrue(agent.answer(STATUS).hasStatus());
  }

  // --- malformed
  // ------------------------------------------------------------------------------------

  /** Hexadecimal bytes of a first frame and of what follows. */
  @ParameterizedTest
  @CsvSource({
    "ffffff, a field that does not end, 03ffffff",
    "group, a wire type that is none, 010b",
    "long, a frame of more than 256 KiB, 81801000",
    "endless, a length of more than ten bytes, ffffffffffffffffffffff",
    "status as number, a wrong wire type, 02087f",
    "field 0, no field, 020200",
    "exec, a length beyond its message, 04120a0a05",
    "exec, text that is not UTF-8, 0512030a01ff",
    "exec, text with a zero, 0512030a0100",
    "connect, a number of more than 32 bits, 082a060880808080 10",
  })
  void whatIsMalformedEndsTheConnection(String name, String what, String bytes) throws Exception {
    try (Talk talk = agent.connect()) {
      talk.sayBytes(HexFormat.of().parseHex(bytes.replace(" ", "")));

      List<AgentMessage> answers = talk.rest();

      assertEquals(1, answers.size(), () -> name + ": " + what);
      assertEquals(Failure.Code.INVALID, answers.getFirst().getFailure().getCode());
    }
    assertTrue(agent.answer(STATUS).hasStatus());
  }

  @Test
  void whatALaterVersionAddsIsPassedOverOrUnsupported() throws Exception {
    HostMessage status =
        HostMessage.newBuilder()
            .setStatus(StatusRequest.newBuilder().setUnknownFields(unknown(99)))
            .build();
    assertTrue(agent.answer(status).hasStatus());

    HostMessage later = HostMessage.newBuilder().setUnknownFields(unknown(99)).build();
    assertEquals(Failure.Code.UNSUPPORTED, agent.answer(later).getFailure().getCode());
    assertEquals(
        Failure.Code.UNSUPPORTED,
        agent.answer(HostMessage.getDefaultInstance()).getFailure().getCode());
  }

  private static UnknownFieldSet unknown(int number) {
    return UnknownFieldSet.newBuilder()
        .addField(
            number,
            UnknownFieldSet.Field.newBuilder()
                .addLengthDelimited(ByteString.copyFromUtf8("x"))
                .addVarint(1)
                .addFixed32(1)
                .addFixed64(1)
                .build())
        .build();
  }

  @Test
  void whatIsOutOfTurnEndsTheConversation() throws Exception {
    HostMessage resize =
        HostMessage.newBuilder()
            .setResize(TerminalSize.newBuilder().setColumns(80).setRows(25))
            .build();
    HostMessage entry = HostMessage.newBuilder().setEntry(FileEntry.getDefaultInstance()).build();
    HostMessage sleep = exec(command("sleep", "1000"));
    List<List<HostMessage>> wrong =
        List.of(
            List.of(Talk.data("x")),
            List.of(Talk.end()),
            List.of(resize),
            List.of(Talk.signal(9)),
            List.of(entry),
            List.of(sleep, sleep),
            List.of(sleep, STATUS),
            List.of(sleep, entry),
            List.of(sleep, resize),
            List.of(sleep, Talk.data("x")),
            List.of(sleep, Talk.end()),
            List.of(sleep, Talk.signal(0)),
            List.of(sleep, Talk.signal(65)),
            List.of(exec(command("sleep", "1000").setStdin(true)), Talk.end(), Talk.data("x")),
            List.of(
                exec(command("sleep", "1000").setStdin(true)),
                Talk.data(ByteString.copyFrom(new byte[(64 << 10) + 1]))));
    for (List<HostMessage> messages : wrong) {
      List<AgentMessage> answers = agent.answers(messages.toArray(HostMessage[]::new));
      assertEquals(
          Failure.Code.INVALID, answers.getLast().getFailure().getCode(), messages::toString);
    }
    agent.awaitNoProcesses();
  }

  @Test
  void halfMessagesOfThousandsCostLittleAndHoldUpNobody() throws Exception {
    List<Talk> talks = new ArrayList<>();
    for (int i = 0; i < 1000; i++) {
      talks.add(agent.connect());
      // As if 256 KiB were to come.
      talks.getLast().sayBytes((byte) 0x80, (byte) 0x80, (byte) 0x10, (byte) 0x12);
    }
    assertTrue(agent.answer(STATUS).hasStatus());
    long memory = agent.residentKib();
    assertTrue(memory < 8192, () -> memory + " KiB");
    for (Talk talk : talks) {
      talk.close();
    }
    await("all is closed").atMost(PATIENCE).until(() -> agent.descriptors() < 20);
  }

  @Test
  void whatIsFloodedAfterTheEndIsDropped() throws Exception {
    try (Talk talk = agent.talk(STATUS)) {
      for (int i = 0; i < 100; i++) {
        talk.say(Talk.data(ByteString.copyFrom(new byte[64 << 10])));
      }
      assertEquals(1, talk.rest().size());
    }
    long memory = agent.residentKib();
    assertTrue(memory < 2048, () -> memory + " KiB");
  }

  // --- exhausted
  // ------------------------------------------------------------------------------------

  @Test
  void withoutDescriptorsItSaysSoAndLives() throws Exception {
    Path other = Files.createDirectory(directory.resolve("other"));
    String program = Agent.built("all").toString();
    try (Agent small = Agent.start(other, List.of("prlimit", "--nofile=24"), program)) {
      List<Talk> talks = new ArrayList<>();
      AgentMessage answer;
      do {
        talks.add(small.talk(exec(command("sleep", "1000"))));
        answer = talks.getLast().hear();
      } while (answer.hasStarted());
      assertEquals(Failure.Code.EXHAUSTED, answer.getFailure().getCode(), answer::toString);

      for (int i = 0; i < 40; i++) {
        talks.add(small.connect());
      }
      AgentMessage last = talks.getLast().hear();
      assertEquals(Failure.Code.EXHAUSTED, last.getFailure().getCode(), last::toString);
      for (Talk talk : talks) {
        talk.close();
      }
      small.awaitNoProcesses();
      assertEquals("well\n", small.run("echo well").stdout());
    }
  }

  /** Root has no limit of processes: the agent is somebody else. */
  @Test
  void withoutProcessesItSaysSoAndLives() throws Exception {
    Path other = Files.createDirectory(directory.resolve("other"));
    Files.setAttribute(directory, "unix:mode", 0755);
    Files.setAttribute(other, "unix:mode", 0777);
    Path program = Files.copy(Agent.built("all"), other.resolve("vireo-agent"));
    String user = "54321:54321";
    List<String> limited =
        List.of(
            "setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "prlimit", "--nproc=3");
    try (Agent small = Agent.start(other, limited, program.toString())) {
      List<Talk> talks = new ArrayList<>();
      AgentMessage answer;
      do {
        talks.add(small.talk(exec(command("sleep", "1000").setUser(user))));
        answer = talks.getLast().hear();
      } while (answer.hasStarted());
      assertEquals(Failure.Code.EXHAUSTED, answer.getFailure().getCode(), answer::toString);
      for (Talk talk : talks) {
        talk.close();
      }
      small.awaitNoProcesses();
      assertTrue(small.talk(exec(command("true").setUser(user))).hear().hasStarted());
    }
  }
}
