package dev.vireo.cli.local;

import dev.vireo.cli.Environment;
import dev.vireo.cli.ExitCode;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** {@code vireo node remove}. */
@Command(
    name = "remove",
    description = "Stops an emulated node of this machine. The controller lists it as LOST.")
public final class NodeRemoveCommand implements Callable<Integer> {
  private final Environment environment;
  private final Path sourceTree;

  @Parameters(
      arity = "0..1",
      paramLabel = "NAME",
      defaultValue = "emulated-1",
      description = "Default: ${DEFAULT-VALUE}.")
  private String id = "emulated-1";

  public NodeRemoveCommand(Environment environment, Path sourceTree) {
    this.environment = environment;
    this.sourceTree = sourceTree;
  }

  @Override
  public Integer call() {
    try (LocalVireo vireo =
        new LocalVireo(
            environment,
            environment.stateDirectory(),
            sourceTree,
            new Progress(environment.err()))) {
      vireo.stopEmulatedNode(id);
      environment.out().println(id + " stopped");
      return ExitCode.OK;
    }
  }
}
