package dev.vireo.cli;

import static java.util.stream.Collectors.joining;
import static java.util.stream.Collectors.toSet;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import io.grpc.Status;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

/** Exit codes, usage errors, help. */
class MainTest {
  private final FakeController controller = new FakeController();
  private final Cli cli = new Cli(controller);

  @AfterEach
  void close() {
    controller.close();
  }

  @ParameterizedTest
  @CsvSource({
    "NOT_FOUND, 4",
    "INVALID_ARGUMENT, 5",
    "ALREADY_EXISTS, 5",
    "FAILED_PRECONDITION, 5",
    "RESOURCE_EXHAUSTED, 5",
    "DEADLINE_EXCEEDED, 6",
    "UNAVAILABLE, 7",
    "INTERNAL, 1",
  })
  void exitsAsTheCallEnded(Status.Code code, int exitCode) {
    controller.failures.add(Status.fromCode(code).withDescription("so it is").asRuntimeException());

    assertEquals(exitCode, cli.run("list"));
    assertEquals("", cli.out());
    assertTrue(cli.err().startsWith("error: "), cli.err());
  }

  @ParameterizedTest
  @EnumSource
  void tellsCauseAndRemedyOfEveryReason(ErrorReason reason) {
    controller.failures.add(Errors.of(reason, "the server's words"));

    cli.run("list");

    String whenToRetry =
        reason.retryAfter().map(delay -> " Try again in " + Text.duration(delay) + ".").orElse("");
    assertEquals(
        """
        error: the server's words
          reason: %s
          cause:  %s
          remedy: %s%s
        """
            .formatted(reason.name(), reason.cause(), reason.remedy(), whenToRetry),
        cli.err());
  }

  @ParameterizedTest
  @CsvSource({
    "no-such-command",
    "help no-such-command",
    "node no-such-command",
    "image",
    "get",
    "list --no-such-option",
    "list -o xml",
    "list --server host:99999",
    "run --ttl soon"
  })
  void exitsWithTwoWhenTheCommandLineIsWrong(String line) {
    assertEquals(ExitCode.USAGE, cli.run(line.split(" ")));
    assertTrue(cli.err().contains("remedy: "), cli.err());
    assertEquals("", cli.out());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "http://127.0.0.1:7420",
        "a:7420,",
        ",",
        "my_host:7420",
        "my_host",
        "a b",
        "a/b:1"
      })
  void whatIsNoServerIsAWrongCommandLine(String server) {
    assertEquals(ExitCode.USAGE, cli.with("VIREO_SERVER", server).run("list"));
    assertTrue(cli.err().contains("is not a server address"), cli.err());
    assertTrue(cli.err().contains("remedy: "), cli.err());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"a", "a.example:1", "::1:7420", "[::1]:7420", "10.0.0.1:1,b-2:2", "unix:/s"})
  void whatIsAServerIsAsked(String server) {
    assertEquals(ExitCode.OK, cli.with("VIREO_SERVER", server).run("list"), cli::err);
  }

  @Test
  void helpsWithEveryCommandAndNamesTheExitCodes() {
    for (String command : Main.commandLine(cli.environment()).getSubcommands().keySet()) {
      assertEquals(ExitCode.OK, cli.run(command, "--help"), command);
      assertTrue(cli.out().contains("Usage: vireo "), cli.out());
      String options = cli.out();
      assertEquals(ExitCode.OK, cli.run("help", command), command);
      assertEquals(options, cli.out());
    }
    cli.run("--help");
    assertTrue(cli.out().contains("7     the server or the node cannot be reached"), cli.out());
  }

  @Test
  void helpSeparatesItsSections() {
    cli.run("node", "remove", "--help");

    assertEquals(
        """
        Usage: vireo node remove [OPTIONS] [NAME]

        Stops an emulated node of this machine. The controller lists it as LOST.

        Arguments:
              [NAME]   Default: emulated-1.

        Options:
          -h, --help   Shows this.

        Exit codes:
        """,
        cli.out().lines().limit(11).collect(joining("\n", "", "\n")));
    assertTrue(cli.out().endsWith("  141   nobody reads the output any more\n"), cli.out());
  }

  @Test
  void helpListsEveryCommandOnce() {
    cli.run("help");
    List<String> listed =
        cli.out()
            .lines()
            .filter(line -> line.matches("  [a-z][-a-z]*(, [a-z]+)? .*"))
            .map(line -> line.strip().split("[, ]", -1)[0])
            .toList();
    Set<String> commands =
        Main.commandLine(cli.environment()).getSubcommands().values().stream()
            .map(CommandLine::getCommandName)
            .collect(toSet());

    assertEquals(commands.size(), listed.size(), listed.toString());
    assertEquals(commands, Set.copyOf(listed));
  }

  @Test
  void suggestsACommandForOneThatThereIsNot() {
    assertEquals(ExitCode.USAGE, cli.run("inspct"));

    assertTrue(
        cli.err().startsWith("error: there is no command 'inspct'; did you mean inspect"),
        cli.err());
  }

  @Test
  void leavesTheLaunchersCommandsToTheLauncher() {
    assertEquals(ExitCode.FAILED, cli.run("image", "build", "debian-12"));

    assertEquals(
        """
        error: 'vireo image build' is a command of the launcher's
          remedy: Run ./vireo image build in the source tree.
        """,
        cli.err());
  }

  @Test
  void makesACompletionScript() {
    assertEquals(ExitCode.OK, cli.run("completion", "bash"));
    assertTrue(cli.out().contains("complete -F _complete_vireo"), "registers a completion");
  }
}
