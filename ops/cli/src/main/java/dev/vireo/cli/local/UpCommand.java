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
  /** Of each, on one machine. */
  private static final int MOST = 9;

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
      names = "--network-pool",
      paramLabel = "CIDR",
      description =
          "IPv4 addresses for microVMs with a network, nobody else's on this machine. Default:"
              + " 10.213.0.0/16.")
  private @Nullable String networkPool;

  @Option(
      names = "--network",
      paramLabel = "KIND",
      defaultValue = "auto",
      description =
          "host: microVMs' networks are made on this machine, for which the worker must be root;"
              + " rootless: in a network namespace of this user's, which pasta connects; auto: the"
              + " first for root, for others the second, or no network. Default: ${DEFAULT-VALUE}.")
  private NetworkKind network = NetworkKind.AUTO;

  @Option(
      names = "--store",
      paramLabel = "STORE",
      description =
          "What the controller keeps its state in: sqlite, or etcd, which is started too unless"
              + " VIREO_ETCD_ENDPOINTS names one. Default: VIREO_STORE, or that of the last time, at"
              + " first sqlite.")
  private @Nullable StoreKind store;

  @Option(
      names = "--controllers",
      paramLabel = "COUNT",
      description =
          "Controllers, of which one leads and any answers; more than one needs --store etcd. Each"
              + " has ports 2 above the one before. Default: as many as the last time, at first 1.")
  private @Nullable Integer controllers;

  @Option(
      names = "--etcd-members",
      paramLabel = "COUNT",
      description =
          "Members of the etcd that is started, an odd number: 3 of them do without any one."
              + " Default: as many as the first time, 1.")
  private @Nullable Integer etcdMembers;

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
      vireo.startControlPlane(
          new LocalVireo.Ports(port, httpPort),
          new LocalVireo.ControlPlane(
              Optional.ofNullable(store),
              count("--controllers", controllers),
              count("--etcd-members", etcdMembers)));
      if (!noWorker && LocalVireo.canUseKvm()) {
        vireo.startWorker(poolSize, network, Optional.ofNullable(networkPool));
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

  static Optional<Integer> count(String option, @Nullable Integer given) {
    if (given != null && (given < 1 || given > MOST)) {
      throw new CommandException(
          ExitCode.USAGE, "%s is %d".formatted(option, given), "1 to %d will do.".formatted(MOST));
    }
    return Optional.ofNullable(given);
  }
}
