package dev.vireo.cli.local;

import dev.vireo.cli.Environment;
import dev.vireo.cli.ExitCode;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;

/** {@code vireo down}. */
@Command(
    name = "down",
    description =
        "Stops the controller, the worker, emulated nodes and all guests of this machine.")
public final class DownCommand implements Callable<Integer> {
  private final Environment environment;
  private final Path sourceTree;

  public DownCommand(Environment environment, Path sourceTree) {
    this.environment = environment;
    this.sourceTree = sourceTree;
  }

  @Override
  public Integer call() {
    Path state = environment.stateDirectory();
    try (LocalVireo vireo =
        new LocalVireo(environment, state, sourceTree, new Progress(environment.err()))) {
      List<String> stopped = vireo.down();
      environment
          .out()
          .println(
              stopped.isEmpty()
                  ? "nothing was running"
                  : "stopped %s; what they keep is in %s"
                      .formatted(String.join(", ", stopped), state));
      return ExitCode.OK;
    }
  }
}
