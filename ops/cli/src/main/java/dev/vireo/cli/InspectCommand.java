package dev.vireo.cli;

import dev.vireo.proto.v1.InspectMicroVmRequest;
import dev.vireo.proto.v1.InspectMicroVmResponse;
import java.time.Duration;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code vireo inspect}. */
@Command(
    name = "inspect",
    description = "Shows what the VMM knows now: devices, queues, exits, timings.")
final class InspectCommand implements Callable<Integer> {
  private final Environment environment;

  @Mixin private final ServerOptions server = new ServerOptions();
  @Mixin private final OutputOptions output = new OutputOptions();

  /** Node and controller give a VMM 15 to 20 s, and then say what is wrong. */
  private static final Duration TIMEOUT = Duration.ofSeconds(25);

  @Parameters(paramLabel = "NAME")
  private String name = "";

  InspectCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() {
    try (Api api = server.connect(environment)) {
      InspectMicroVmResponse answer =
          api.microVms(TIMEOUT)
              .inspectMicroVm(
                  InspectMicroVmRequest.newBuilder().setName(api.microVmName(name)).build());
      switch (output.format()) {
        case JSON -> environment.out().println(OutputOptions.json(answer));
        case NAME -> environment.out().println(answer.getMicrovm().getMeta().getName());
        case TABLE, WIDE -> InspectionView.print(answer, environment.out());
      }
      return ExitCode.OK;
    }
  }
}
