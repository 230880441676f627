package dev.vireo.worker.agent.program;

import static dev.vireo.worker.agent.program.Agent.command;
import static dev.vireo.worker.agent.program.Agent.exec;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.proto.agent.v1.ConnectRequest;
import dev.vireo.proto.agent.v1.FileEntry;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.agent.v1.ReadRequest;
import dev.vireo.proto.agent.v1.SeedRequest;
import dev.vireo.proto.agent.v1.ShutdownRequest;
import dev.vireo.proto.agent.v1.StatusRequest;
import dev.vireo.proto.agent.v1.TerminalSize;
import dev.vireo.proto.agent.v1.WriteRequest;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Conversations of all kinds, mutated, against an agent that ends at its first bad access or
 * undefined behaviour, and that looks for leaks at its end. It is nobody, so that what it is talked
 * into harms nobody. {@code -Dvireo.test.agent.conversations} says how many it is to be; {@code
 * -Dvireo.test.agent.seed} where they begin.
 */
class AgentFuzzTest {
  private static final int CONVERSATIONS =
      Integer.getInteger("vireo.test.agent.conversations", 1500);
  private static final long SEED = Long.getLong("vireo.test.agent.seed", 1);
  private static final String USER_ID = "54321";
  private static final String USER = USER_ID + ":54321";

  private static final int LOOK_EVERY = 50;

  @Test
  void noConversationHarmsTheAgent(@TempDir Path directory) throws Exception {
    Path program = Files.copy(Agent.built("sanitized"), directory.resolve("vireo-agent"));
    Files.setAttribute(directory, "unix:mode", 0777);
    List<String> nobody =
        List.of(
            "setpriv",
            "--reuid=" + USER_ID,
            "--regid=54321",
            "--clear-groups",
            "prlimit",
            "--core=0");
    try (Agent agent = Agent.start(directory, nobody, program.toString())) {
      for (int i = 0; i < CONVERSATIONS; i++) {
        converse(agent, directory, new Random(SEED + i));
        if (i % LOOK_EVERY == 0) {
          assertTrue(agent.isAlive(), "conversation %d: %s".formatted(SEED + i, agent.log()));
        }
      }
      assertEquals(0, agent.stop(), agent.log());
      assertEquals("vireo-agent: ready\n", agent.log());
    } finally {
      ProcessHandle.allProcesses()
          .filter(process -> process.info().user().filter(USER_ID::equals).isPresent())
          .forEach(ProcessHandle::destroyForcibly);
    }
  }

  /** Some of it may never be heard, for the agent ends what it cannot go on with. */
  private static void converse(Agent agent, Path directory, Random random) {
    try (Talk talk = agent.connect()) {
      talk.sayBytes(mutated(conversation(directory, random), random));
      if (random.nextBoolean()) {
        talk.sayNoMore();
        var _ = talk.rest();
      }
    } catch (IOException e) {
      // The agent has ended it.
      assertTrue(agent.isAlive() || !e.toString().isEmpty());
    }
  }

  private static byte[] conversation(Path directory, Random random) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (HostMessage message : messages(directory, random)) {
      message.writeDelimitedTo(out);
    }
    return out.toByteArray();
  }

  private static List<HostMessage> messages(Path directory, Random random) {
    HostMessage.Builder first = HostMessage.newBuilder();
    String target = directory.resolve("target").toString();
    return switch (random.nextInt(10)) {
      case 0 -> List.of(first.setStatus(StatusRequest.getDefaultInstance()).build());
      case 1 ->
          List.of(
              exec(
                  command("cat", "-")
                      .setUser(USER)
                      .setStdin(true)
                      .addEnvironment("X=y")
                      .setWorkingDirectory("/")),
              Talk.data("some input"),
              Talk.data(ByteString.copyFrom(new byte[random.nextInt(70_000)])),
              Talk.end());
      case 2 ->
          List.of(
              exec(command("sleep", "0.01").setUser(USER).setKey("k" + random.nextInt(20))),
              Talk.signal(random.nextInt(70)));
      case 3 ->
          List.of(
              exec(command("cat").setUser(USER).setStdin(true).setTerminal(size(random))),
              Talk.data("typed\n"),
              HostMessage.newBuilder().setResize(size(random)).build(),
              Talk.end());
      case 4 ->
          List.of(
              first
                  .setWrite(
                      WriteRequest.newBuilder()
                          .setPath(target)
                          .setIntoDirectory(random.nextBoolean()))
                  .build(),
              entry(FileEntry.newBuilder().setType(FileEntry.Type.DIRECTORY).setMode(0755)),
              entry(
                  FileEntry.newBuilder()
                      .setPath("file")
                      .setType(FileEntry.Type.REGULAR)
                      .setUid(54321)
                      .setGid(54321)
                      .setMode(0600)
                      .setSize(5)),
              Talk.data("12345"),
              entry(
                  FileEntry.newBuilder()
                      .setPath("file/link")
                      .setType(FileEntry.Type.SYMBOLIC_LINK)
                      .setLinkTarget("x")),
              Talk.end());
      case 5 -> List.of(first.setRead(ReadRequest.newBuilder().setPath(target)).build());
      case 6 ->
          List.of(
              first.setConnect(ConnectRequest.newBuilder().setPort(random.nextInt(70_000))).build(),
              Talk.data("x"),
              Talk.end());
      case 7 ->
          List.of(
              first
                  .setSeed(
                      SeedRequest.newBuilder()
                          .setEntropy(ByteString.copyFrom(new byte[random.nextInt(600)])))
                  .build());
      case 8 ->
          List.of(
              first.setShutdown(ShutdownRequest.newBuilder().setGraceMs(random.nextInt())).build());
      default -> List.of(exec(command("yes").setUser(USER).setDetach(false)));
    };
  }

  private static HostMessage entry(FileEntry.Builder entry) {
    return HostMessage.newBuilder().setEntry(entry).build();
  }

  private static TerminalSize size(Random random) {
    return TerminalSize.newBuilder()
        .setColumns(random.nextInt(70_000))
        .setRows(random.nextInt(70_000))
        .build();
  }

  /** A few bytes changed, taken out, put in or moved; or none. */
  private static byte[] mutated(byte[] conversation, Random random) {
    List<Byte> bytes = new ArrayList<>();
    int most = Math.min(conversation.length, 200);
    for (int i = 0; i < most; i++) {
      bytes.add(conversation[i]);
    }
    int changes = random.nextInt(6);
    for (int i = 0; i < changes && !bytes.isEmpty(); i++) {
      int at = random.nextInt(bytes.size());
      switch (random.nextInt(5)) {
        case 0 -> bytes.set(at, (byte) random.nextInt());
        case 1 -> bytes.set(at, (byte) (bytes.get(at) ^ 1 << random.nextInt(8)));
        case 2 -> bytes.remove(at);
        case 3 -> bytes.add(at, (byte) random.nextInt());
        default -> bytes.addAll(at, List.copyOf(bytes.subList(0, at)));
      }
    }
    byte[] rest = Arrays.copyOfRange(conversation, most, conversation.length);
    byte[] result = Arrays.copyOf(new byte[0], bytes.size() + rest.length);
    for (int i = 0; i < bytes.size(); i++) {
      result[i] = bytes.get(i);
    }
    System.arraycopy(rest, 0, result, bytes.size(), rest.length);
    return result;
  }
}
