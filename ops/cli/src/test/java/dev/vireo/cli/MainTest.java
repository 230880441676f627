package dev.vireo.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import io.grpc.Status;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

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

    assertEquals(
        """
        error: the server's words
          reason: %s
          cause:  %s
          remedy: %s
        """
            .formatted(reason.name(), reason.cause(), reason.remedy()),
        cli.err());
  }

  @ParameterizedTest
  @CsvSource({
    "no-such-command",
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

  @Test
  void helpsWithEveryCommandAndNamesTheExitCodes() {
    for (String command : Main.commandLine(cli.environment()).getSubcommands().keySet()) {
      assertEquals(ExitCode.OK, cli.run(command, "--help"), command);
      assertTrue(cli.out().contains("Usage: vireo "), cli.out());
    }
    cli.run("--help");
    assertTrue(cli.out().contains("7     the server or the node cannot be reached"), cli.out());
  }

  @Test
  void makesACompletionScript() {
    assertEquals(ExitCode.OK, cli.run("completion", "bash"));
    assertTrue(cli.out().contains("complete -F _complete_vireo"), "registers a completion");
  }
}
