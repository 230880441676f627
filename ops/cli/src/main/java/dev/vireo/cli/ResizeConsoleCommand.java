package dev.vireo.cli;

import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.ResizeConsoleRequest;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code vireo resize-console}: another size for a console port. */
@Command(
    name = "resize-console",
    description = "Tells a guest another size of its console.",
    footer = {
      "Example:",
      "  vireo resize-console web-1 132x43",
      "      of the first console port; 'stty size' in the guest says 43 132"
    })
final class ResizeConsoleCommand implements Callable<Integer> {
  private final Environment environment;

  @Mixin private final ServerOptions server = new ServerOptions();
  @Mixin private final OutputOptions output = new OutputOptions();

  @Parameters(index = "0", paramLabel = "NAME")
  private String name = "";

  @Parameters(
      index = "1",
      paramLabel = Converters.ConsoleSizeForm.LABEL,
      converter = Converters.ConsoleSizeForm.class,
      description = "In characters.")
  private ConsoleSize size = ConsoleSize.getDefaultInstance();

  @Option(
      names = "--port",
      paramLabel = "PORT",
      description = "The name of a console port. Default: the first.")
  private String port = "";

  ResizeConsoleCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() {
    try (Api api = server.connect(environment)) {
      MicroVm vm =
          api.microVms()
              .resizeConsole(
                  ResizeConsoleRequest.newBuilder()
                      .setName(api.microVmName(name))
                      .setPort(port)
                      .setSize(size)
                      .build());
      output.printChanged(
          vm, "console of %dx%d".formatted(size.getColumns(), size.getRows()), environment);
      return ExitCode.OK;
    }
  }
}
