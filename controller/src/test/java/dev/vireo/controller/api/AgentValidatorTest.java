package dev.vireo.controller.api;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.google.rpc.BadRequest;
import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.CopyInRequest;
import dev.vireo.proto.v1.CopyInStart;
import dev.vireo.proto.v1.CopyOutRequest;
import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecStart;
import dev.vireo.proto.v1.FileEntry;
import dev.vireo.proto.v1.PortForwardRequest;
import dev.vireo.proto.v1.PortForwardStart;
import dev.vireo.proto.v1.StdinEnd;
import dev.vireo.proto.v1.StreamEnd;
import io.grpc.protobuf.StatusProto;
import java.io.IOException;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class AgentValidatorTest {
  private static final ByteString MOST = ByteString.copyFrom(new byte[64 << 10]);
  private static final ByteString TOO_MUCH = ByteString.copyFrom(new byte[(64 << 10) + 1]);

  private static void assertFields(Violations violations, String... fields) throws IOException {
    assertEquals(Set.of(fields), violations.isEmpty() ? Set.of() : fields(violations));
  }

  private static Set<String> fields(Violations violations) throws IOException {
    return StatusProto.fromThrowable(violations.toException())
        .getDetails(1)
        .unpack(BadRequest.class)
        .getFieldViolationsList()
        .stream()
        .map(BadRequest.FieldViolation::getField)
        .collect(Collectors.toSet());
  }

  private static Violations start(ExecStart.Builder start) {
    return AgentValidator.exec(ExecRequest.newBuilder().setStart(start).build(), true);
  }

  private static ExecStart.Builder command() {
    return ExecStart.newBuilder().addArguments("sh").addArguments("");
  }

  @Test
  void acceptsWhatACommandCanBe() throws IOException {
    assertFields(start(command()));
    assertFields(
        start(
            command()
                .putEnvironment("A", "=b")
                .setWorkingDirectory("/")
                .setUser("nobody:nogroup")
                .setTerminal(size(65_535, 1))
                .setStdin(true)));
    assertFields(start(command().setDetach(true)));
    assertFields(AgentValidator.exec(ExecRequest.newBuilder().setStdin(MOST).build(), false));
    assertFields(AgentValidator.exec(ExecRequest.newBuilder().setSignal(64).build(), false));
  }

  private static ConsoleSize size(int columns, int rows) {
    return ConsoleSize.newBuilder().setColumns(columns).setRows(rows).build();
  }

  @Test
  void saysAllThatIsWrongWithACommandAtOnce() throws IOException {
    assertFields(
        start(
            ExecStart.newBuilder()
                .addArguments("")
                .addArguments("a\0b")
                .putEnvironment("A=B", "c")
                .putEnvironment("C", "\0")
                .setWorkingDirectory("tmp")
                .setUser(":wheel")
                .setTerminal(size(0, 65_536))
                .setDetach(true)),
        "start.arguments",
        "start.arguments[1]",
        "start.environment[A=B]",
        "start.environment[C]",
        "start.working_directory",
        "start.user",
        "start.terminal.columns",
        "start.terminal.rows",
        "start.detach");
    assertFields(start(ExecStart.newBuilder()), "start.arguments");
    assertFields(start(command().setDetach(true).setStdin(true)), "start.detach");
  }

  @Test
  void argumentsAndEnvironmentHaveALimitTogether() throws IOException {
    String half = "x".repeat((64 << 10) - 1);
    ExecStart.Builder most = ExecStart.newBuilder().addArguments(half).addArguments(half);
    assertFields(start(most));
    assertFields(start(most.putEnvironment("A", "")), "start.arguments");
  }

  @Test
  void messagesHaveTheirTurn() throws IOException {
    ExecRequest.Builder exec = ExecRequest.newBuilder();
    assertFields(AgentValidator.exec(exec.setStdin(TOO_MUCH).build(), true), "start", "stdin");
    assertFields(AgentValidator.exec(exec.setStart(command()).build(), false), "start");
    assertFields(AgentValidator.exec(exec.setSignal(0).build(), false), "signal");
    assertFields(AgentValidator.exec(exec.setSignal(-1).build(), false), "signal");
    assertFields(AgentValidator.exec(exec.setResize(size(1, 0)).build(), false), "resize.rows");
    assertFields(
        AgentValidator.exec(exec.setStdinEnd(StdinEnd.getDefaultInstance()).build(), true),
        "start",
        "stdin_end");
    assertFields(AgentValidator.exec(ExecRequest.getDefaultInstance(), true), "start");
    assertFields(AgentValidator.exec(ExecRequest.getDefaultInstance(), false), "request");
    assertFields(
        AgentValidator.portForward(PortForwardRequest.newBuilder().setData(MOST).build(), true),
        "start",
        "data");
    assertFields(
        AgentValidator.portForward(
            PortForwardRequest.newBuilder().setEnd(StreamEnd.getDefaultInstance()).build(), false));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, -1, 65_536})
  void thereIsNoSuchPort(int port) throws IOException {
    assertFields(
        AgentValidator.portForward(
            PortForwardRequest.newBuilder()
                .setStart(PortForwardStart.newBuilder().setPort(port))
                .build(),
            true),
        "start.port");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "etc", "./etc", "/a\0"})
  void pathsInAGuestAreAbsolute(String path) throws IOException {
    assertFields(AgentValidator.copyOut(CopyOutRequest.newBuilder().setPath(path).build()), "path");
    assertFields(
        AgentValidator.copyIn(
            CopyInRequest.newBuilder().setStart(CopyInStart.newBuilder().setPath(path)).build(),
            true),
        "start.path");
  }

  private static Violations entry(FileEntry.Builder entry) {
    return AgentValidator.copyIn(CopyInRequest.newBuilder().setEntry(entry).build(), false);
  }

  private static FileEntry.Builder file(String path) {
    return FileEntry.newBuilder().setType(FileEntry.Type.REGULAR).setPath(path);
  }

  @Test
  void entriesAreWhatFilesCanBe() throws IOException {
    assertFields(entry(file("a/b").setMode(0_7777).setSize(Long.MAX_VALUE)));
    assertFields(entry(file("")));
    assertFields(
        entry(file("l").setType(FileEntry.Type.SYMBOLIC_LINK).setLinkTarget("/anything/../at")));
    assertFields(entry(file("a").setMode(0_10000)), "entry.mode");
    assertFields(entry(file("a").setSize(-1)), "entry.size");
    assertFields(entry(file("a").setLinkTarget("b")), "entry.link_target");
    assertFields(
        entry(file("a").setType(FileEntry.Type.SYMBOLIC_LINK).setSize(1)),
        "entry.link_target",
        "entry.size");
    assertFields(entry(file("a").setTypeValue(9)), "entry.type");
    assertFields(entry(FileEntry.newBuilder()), "entry.type");
  }

  @Test
  void entriesStayBelowTheirPath() throws IOException {
    for (String path :
        List.of("/a", "..", "a/../b", "a//b", "a/", "./a", "a\0", "x".repeat(4096))) {
      assertTrue(fields(entry(file(path))).contains("entry.path"), path);
    }
  }
}
