package dev.vireo.cli;

import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.ResizeMemoryRequest;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code vireo balloon}: how much of its memory a guest is to give back. */
@Command(
    name = "balloon",
    description = "Asks a guest to give memory back, or lets it have that again.",
    footer = "'vireo inspect NAME' tells how far the guest has come.")
final class BalloonCommand implements Callable<Integer> {
  private final Environment environment;

  @Mixin private final ServerOptions server = new ServerOptions();
  @Mixin private final OutputOptions output = new OutputOptions();

  @Parameters(paramLabel = "NAME", description = "A microVM that was run with --balloon.")
  private String name = "";

  @Option(
      names = "--target",
      paramLabel = "SIZE",
      required = true,
      converter = Converters.Memory.class,
      description = "To be given back in all: MiB, or with a unit: 256M, 1G. 0: nothing.")
  private long targetMib;

  BalloonCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() {
    try (Api api = server.connect(environment)) {
      MicroVm vm =
          api.microVms()
              .resizeMemory(
                  ResizeMemoryRequest.newBuilder()
                      .setName(api.microVmName(name))
                      .setBalloonTargetMib(targetMib)
                      .build());
      output.printChanged(
          vm,
          "%d of %d MiB are to be given back"
              .formatted(vm.getSpec().getBalloon().getTargetMib(), vm.getSpec().getMemoryMib()),
          environment);
      return ExitCode.OK;
    }
  }
}
