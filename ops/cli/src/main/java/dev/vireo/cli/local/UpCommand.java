package dev.vireo.cli.local;

import dev.vireo.cli.Api;
import dev.vireo.cli.Cleanup;
import dev.vireo.cli.CommandException;
import dev.vireo.cli.Environment;
import dev.vireo.cli.ExitCode;
import dev.vireo.cli.NodeView;
import dev.vireo.cli.OutputOptions;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code vireo up}. */
@Command(
    name = "up",
    description = "Starts a controller and a worker on this machine; what they keep is kept.")
public final class UpCommand implements Callable<Integer> {
  private final Environment environment;
  private final Path sourceTree;

  @Option(
      names = "--port",
      paramLabel = "PORT",
      defaultValue = "7420",
      description = "The controller's gRPC port. Default: ${DEFAULT-VALUE}.")
  private int port = 7420;

  @Option(
      names = "--http-port",
      paramLabel = "PORT",
      defaultValue = "7421",
      description = "The controller's port for health and metrics. Default: ${DEFAULT-VALUE}.")
  private int httpPort = 7421;

  @Option(
      names = "--pool-size",
      paramLabel = "COUNT",
      defaultValue = "4",
      description = "VMM processes that the worker keeps pre-started. Default: ${DEFAULT-VALUE}.")
  private int poolSize = 4;

  @Option(
      names = "--store",
      paramLabel = "STORE",
      description =
          "What the controller keeps its state in: sqlite, or etcd, which is started too. Default:"
              + " that of the last time, at first sqlite.")
  private @Nullable StoreKind store;

  @Option(names = "--no-worker", description = "Only the controller.")
  private boolean noWorker;

  @Mixin private final OutputOptions output = new OutputOptions();

  public UpCommand(Environment environment, Path sourceTree) {
    this.environment = environment;
    this.sourceTree = sourceTree;
  }

  @Override
  public Integer call() {
    Progress progress = new Progress(environment.err());
    Cleanup cleanup = new Cleanup();
    try (cleanup;
        LocalVireo vireo =
            new LocalVireo(environment, environment.stateDirectory(), sourceTree, progress)) {
      cleanup.addForInterrupt(vireo::abandon);
      vireo.startController(new LocalVireo.Ports(port, httpPort), Optional.ofNullable(store));
      if (!noWorker && LocalVireo.canUseKvm()) {
        vireo.startWorker(poolSize);
      } else if (!noWorker) {
        progress.step("no worker: /dev/kvm cannot be used here; see vireo doctor");
      }
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
