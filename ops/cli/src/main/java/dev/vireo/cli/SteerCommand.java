package dev.vireo.cli;

import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.SteerMicroVmRequest;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code vireo stop}, {@code start}, {@code pause} and {@code resume}: one call each. */
@Command
final class SteerCommand implements Callable<Integer> {
  /** The verbs, and what they say of themselves. */
  enum Verb {
    STOP("Asks the guest to power off, and stops it by force when its grace is over."),
    START("Starts a stopped or failed microVM."),
    PAUSE("Holds the vCPUs; memory and devices stay."),
    RESUME("Lets a paused microVM go on.");

    final String description;

    Verb(String description) {
      this.description = description;
    }
  }

  private final Environment environment;
  private final Verb verb;

  @Mixin private final ServerOptions server = new ServerOptions();
  @Mixin private final OutputOptions output = new OutputOptions();

  @Parameters(paramLabel = "NAME")
  private String name = "";

  SteerCommand(Environment environment, Verb verb) {
    this.environment = environment;
    this.verb = verb;
  }

  @Override
  public Integer call() {
    try (Api api = server.connect(environment)) {
      SteerMicroVmRequest request =
          SteerMicroVmRequest.newBuilder().setName(api.microVmName(name)).build();
      MicroVm vm =
          switch (verb) {
            case STOP -> api.microVms().stopMicroVm(request);
            case START -> api.microVms().startMicroVm(request);
            case PAUSE -> api.microVms().pauseMicroVm(request);
            case RESUME -> api.microVms().resumeMicroVm(request);
          };
      String wanted = Text.lower(vm.getSpec().getDesiredState()).replace("desired-", "");
      output.printChanged(vm, wanted + " is wanted", environment);
      return ExitCode.OK;
    }
  }
}
