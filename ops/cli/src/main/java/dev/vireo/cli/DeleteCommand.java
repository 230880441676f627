package dev.vireo.cli;

import dev.vireo.proto.v1.MicroVm;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code vireo delete}. */
@Command(
    name = "delete",
    aliases = "rm",
    description = "Deletes microVMs: asks each guest to power off, then removes all it had.")
final class DeleteCommand implements Callable<Integer> {
  private final Environment environment;

  @Mixin private final ServerOptions server = new ServerOptions();
  @Mixin private final OutputOptions output = new OutputOptions();

  @Parameters(arity = "1..*", paramLabel = "NAME")
  private List<String> names = List.of();

  @Option(
      names = {"-f", "--force"},
      description = "Do not ask the guest first.")
  private boolean force;

  @Option(names = "--ignore-missing", description = "Not an error when it does not exist.")
  private boolean ignoreMissing;

  @Option(names = "--wait", description = "Return once it is gone.")
  private boolean wait;

  @Option(
      names = "--timeout",
      paramLabel = "TIME",
      defaultValue = "60s",
      description = "For --wait. Default: ${DEFAULT-VALUE}.")
  private Duration timeout = Duration.ofSeconds(60);

  DeleteCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() {
    try (Api api = server.connect(environment)) {
      Deletion deletion = new Deletion(api);
      for (String name : names) {
        String resource = api.microVmName(name);
        MicroVm vm = deletion.request(resource, force, ignoreMissing);
        if (wait) {
          deletion.awaitGone(resource, vm.getMeta().getUid(), timeout);
        }
        environment
            .out()
            .println(
                switch (output.format()) {
                  case JSON -> OutputOptions.jsonLine(vm);
                  case NAME -> resource;
                  case TABLE, WIDE -> Api.id(name) + (wait ? " deleted" : " deleting");
                });
      }
      return ExitCode.OK;
    }
  }
}
