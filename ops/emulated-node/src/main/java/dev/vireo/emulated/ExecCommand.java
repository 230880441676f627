package dev.vireo.emulated;

import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** A look into a running node. */
@Command(
    name = "exec",
    description = "Run a shell command in the outer machine of a running node, as root.",
    mixinStandardHelpOptions = true)
final class ExecCommand implements Callable<Integer> {
  @Option(names = "--state-dir", required = true, paramLabel = "DIR", description = "The node's.")
  private Path stateDirectory = Path.of("");

  @Option(
      names = "--timeout",
      paramLabel = "SECONDS",
      description = "Then it is killed: status 137. Default: ${DEFAULT-VALUE}.")
  private int timeoutSeconds = 600;

  @Parameters(paramLabel = "COMMAND")
  private String command = "";

  @Override
  public Integer call() throws Exception {
    ShellClient.Result result =
        new ShellClient(stateDirectory).run(command, Duration.ofSeconds(timeoutSeconds));
    System.out.print(result.output());
    return result.status();
  }
}
