package dev.vireo.cli;

import dev.vireo.proto.v1.AttachStart;
import dev.vireo.proto.v1.Container;
import dev.vireo.proto.v1.GetMicroVmRequest;
import io.grpc.StatusRuntimeException;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code vireo attach}. */
@Command(
    name = "attach",
    description = {
      "Joins the process of a container that runs.",
      "Prints what it writes from now on, and ends with its exit status. With 'run -i' it reads"
          + " our standard input, with 'run -t' it has our terminal: Ctrl-P Ctrl-Q leaves it"
          + " running. Otherwise Ctrl-C is a signal to it, and a second one leaves it."
    },
    exitCodeOnInvalidInput = ExitCode.OF_VIREO,
    exitCodeList = {
      "0 to 255:the process' own; 0 too when it was left",
      "125:a failure of Vireo's own",
    })
final class AttachCommand implements Callable<Integer> {
  private final Environment environment;

  @Mixin private final ServerOptions server = new ServerOptions();

  @Option(names = "--no-stdin", description = "Leave its standard input to others.")
  private boolean noStdin;

  @Option(
      names = "--all",
      description = "Print what it has written before, too, as far as that is kept.")
  private boolean all;

  @Parameters(index = "0", paramLabel = "NAME", description = "Of the microVM.")
  private String name = "";

  AttachCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() {
    try (Api api = server.connect(environment)) {
      return attach(api);
    } catch (StatusRuntimeException | CommandException e) {
      var _ = new ErrorReport(environment.err()).print(e);
      return ExitCode.OF_VIREO;
    }
  }

  private int attach(Api api) {
    String microVm = api.microVmName(name);
    Container container =
        api.microVms()
            .getMicroVm(GetMicroVmRequest.newBuilder().setName(microVm).build())
            .getSpec()
            .getContainer();
    AttachStart.Builder start =
        AttachStart.newBuilder().setName(microVm).setStdin(container.getStdin() && !noStdin);
    if (all) {
      start.setOffset(0);
    }
    if (container.getTerminal()) {
      environment.tty().size().ifPresent(start::setTerminal);
    }
    try (Cleanup cleanup = new Cleanup();
        ProcessAttachment process =
            new ProcessAttachment(api, environment, start.build(), container.getTerminal())) {
      new LocalStreams(environment, process, cleanup).passSignals();
      process.connectInput(cleanup);
      OptionalInt status = process.follow();
      return status.orElse(ExitCode.OK);
    }
  }
}
