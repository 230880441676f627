package dev.vireo.cli.local;

import dev.vireo.cli.Cleanup;
import dev.vireo.cli.CommandException;
import dev.vireo.cli.Environment;
import dev.vireo.cli.ExitCode;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code vireo store}. */
@Command(
    name = "store",
    synopsisSubcommandLabel = "COMMAND",
    description = "Moves what this machine's controller keeps into another kind of store.")
public final class StoreCommand {
  /** {@code vireo store migrate}. */
  @Command(
      name = "migrate",
      description = {
        "Copies everything from one store to the other, and compares.",
        "",
        "The controller must be down. The store that is copied to must be empty; the other is left"
            + " as it is. From then on vireo up takes the new one. An etcd that is not this machine's"
            + " own is given by VIREO_ETCD_ENDPOINTS and the other settings in controller/STORES.md;"
            + " vireo up wants them, too."
      })
  public static final class Migrate implements Callable<Integer> {
    private final Environment environment;
    private final Path sourceTree;

    @Option(
        names = "--from",
        required = true,
        paramLabel = "STORE",
        description = "${COMPLETION-CANDIDATES}.")
    private StoreKind from = StoreKind.SQLITE;

    @Option(
        names = "--to",
        required = true,
        paramLabel = "STORE",
        description = "${COMPLETION-CANDIDATES}.")
    private StoreKind to = StoreKind.ETCD;

    @Option(
        names = "--etcd-members",
        paramLabel = "COUNT",
        description =
            "Members of the etcd that is started for it, an odd number, for good: 3 of them do"
                + " without any one. Default: as many as there are, at first 1.")
    private @Nullable Integer etcdMembers;

    public Migrate(Environment environment, Path sourceTree) {
      this.environment = environment;
      this.sourceTree = sourceTree;
    }

    @Override
    public Integer call() {
      Optional<Integer> members = UpCommand.count("--etcd-members", etcdMembers);
      Cleanup cleanup = new Cleanup();
      try (cleanup;
          LocalVireo vireo =
              new LocalVireo(
                  environment,
                  environment.stateDirectory(),
                  sourceTree,
                  new Progress(environment.err()))) {
        cleanup.addForInterrupt(vireo::abandon);
        environment.out().println(vireo.migrateStore(from, to, members));
        return ExitCode.OK;
      } catch (CommandException e) {
        if (cleanup.isInterrupted()) {
          return ExitCode.INTERRUPTED;
        }
        throw e;
      }
    }
  }
}
