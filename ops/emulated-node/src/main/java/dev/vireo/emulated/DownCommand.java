package dev.vireo.emulated;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Ends what a killed owner may have left. */
@Command(
    name = "down",
    description = "End the outer machine of a state directory, if one is left running.",
    mixinStandardHelpOptions = true)
final class DownCommand implements Callable<Integer> {
  @Option(names = "--state-dir", required = true, paramLabel = "DIR")
  private Path stateDirectory = Path.of("");

  @Override
  public Integer call() throws Exception {
    OuterMachine.removeLeftover(stateDirectory);
    return 0;
  }
}
