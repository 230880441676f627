package dev.vireo.cli;

import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.ResizeMemoryRequest;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code vireo memory}: how much memory a guest is to have. */
@Command(
    name = "memory",
    description = {
      "Gives a guest more memory while it runs, or asks it for some back.",
      "What is beyond the memory that it was run with is plugged (--memory-hotplug), what is"
          + " missing to it goes into the balloon (--balloon)."
    },
    footer = "'vireo inspect NAME' tells how far the guest has come.")
final class MemoryCommand implements Callable<Integer> {
  private final Environment environment;

  @Mixin private final ServerOptions server = new ServerOptions();
  @Mixin private final OutputOptions output = new OutputOptions();

  @Parameters(
      paramLabel = "NAME",
      description = "A microVM that was run with --memory-hotplug or --balloon.")
  private String name = "";

  @Option(
      names = "--size",
      paramLabel = "SIZE",
      required = true,
      converter = Converters.Memory.class,
      description = "What the guest is to have in all: MiB, or with a unit: 256M, 1G.")
  private long sizeMib;

  MemoryCommand(Environment environment) {
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
                      .setSizeMib(sizeMib)
                      .build());
      output.printChanged(
          vm,
          "is to have %d MiB: %d, %d plugged, %d given back"
              .formatted(
                  sizeMib,
                  vm.getSpec().getMemoryMib(),
                  vm.getSpec().getMemoryHotplug().getSizeMib(),
                  vm.getSpec().getBalloon().getTargetMib()),
          environment);
      return ExitCode.OK;
    }
  }
}
