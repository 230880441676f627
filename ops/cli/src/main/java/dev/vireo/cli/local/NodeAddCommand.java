package dev.vireo.cli.local;

import dev.vireo.cli.Api;
import dev.vireo.cli.Cleanup;
import dev.vireo.cli.CommandException;
import dev.vireo.cli.Environment;
import dev.vireo.cli.ExitCode;
import dev.vireo.cli.NodeView;
import dev.vireo.cli.OutputOptions;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code vireo node add}. */
@Command(
    name = "add",
    description = {
      "Starts an emulated node on this machine: QEMU without hardware virtualization, in which the"
          + " real worker runs Linux guests on any host, slowly.",
      "A real node is added by running a worker there: it joins by dialing the controller."
    })
public final class NodeAddCommand implements Callable<Integer> {
  private final Environment environment;
  private final Path sourceTree;

  @Option(names = "--emulated", required = true, description = "The only kind added from here.")
  @SuppressWarnings("UnusedVariable") // Its presence is the point.
  private boolean emulated;

  @Option(
      names = "--id",
      paramLabel = "NAME",
      defaultValue = "emulated-1",
      description = "Default: ${DEFAULT-VALUE}.")
  private String id = "emulated-1";

  @Option(
      names = "--arch",
      paramLabel = "ARCH",
      defaultValue = "x86_64",
      description = "x86_64 or arm64. Default: ${DEFAULT-VALUE}.")
  private String architecture = "x86_64";

  @Option(
      names = {"-l", "--label"},
      paramLabel = "KEY=VALUE",
      description = "Repeatable.")
  private Map<String, String> labels = Map.of();

  @Mixin private final OutputOptions output = new OutputOptions();

  public NodeAddCommand(Environment environment, Path sourceTree) {
    this.environment = environment;
    this.sourceTree = sourceTree;
  }

  @Override
  public Integer call() {
    Cleanup cleanup = new Cleanup();
    try (cleanup;
        LocalVireo vireo =
            new LocalVireo(
                environment,
                environment.stateDirectory(),
                sourceTree,
                new Progress(environment.err()))) {
      cleanup.addForInterrupt(vireo::abandon);
      vireo.launchEmulatedNode(id, architecture, labels);
      vireo.awaitEmulatedNode(id);
      try (Api api = vireo.connect()) {
        NodeView.print(api.listNodes(), output.format(), environment);
      }
      return ExitCode.OK;
    } catch (CommandException e) {
      if (cleanup.isInterrupted()) {
        return ExitCode.INTERRUPTED;
      }
      throw e;
    }
  }
}
