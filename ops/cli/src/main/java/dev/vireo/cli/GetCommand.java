package dev.vireo.cli;

import dev.vireo.proto.v1.GetMicroVmRequest;
import dev.vireo.proto.v1.MicroVm;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code vireo get}. */
@Command(
    name = "get",
    aliases = "describe",
    description = "Shows one microVM: its spec, its state and how it came to it.")
final class GetCommand implements Callable<Integer> {
  private final Environment environment;

  @Mixin private final ServerOptions server = new ServerOptions();
  @Mixin private final OutputOptions output = new OutputOptions();

  @Parameters(paramLabel = "NAME")
  private String name = "";

  GetCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() {
    try (Api api = server.connect(environment)) {
      MicroVm vm =
          api.microVms()
              .getMicroVm(GetMicroVmRequest.newBuilder().setName(api.microVmName(name)).build());
      switch (output.format()) {
        case JSON -> environment.out().println(OutputOptions.json(vm));
        case NAME -> environment.out().println(vm.getMeta().getName());
        case TABLE, WIDE -> new MicroVmView(environment.clock()).printPage(vm, environment.out());
      }
      return ExitCode.OK;
    }
  }
}
