package dev.vireo.cli;

import dev.vireo.proto.v1.ListMicroVmsResponse;
import dev.vireo.proto.v1.MicroVm;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code vireo list}. */
@Command(name = "list", aliases = "ls", description = "Lists microVMs.")
final class ListCommand implements Callable<Integer> {
  private final Environment environment;

  @Mixin private final ServerOptions server = new ServerOptions();
  @Mixin private final OutputOptions output = new OutputOptions();

  @Option(
      names = {"-l", "--selector"},
      paramLabel = "KEY=VALUE[,…]",
      description = "Only those with these labels.")
  private String selector = "";

  @Option(
      names = {"-w", "--watch"},
      description = "Then go on with every change, a line each.")
  private boolean watch;

  ListCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() {
    try (Api api = server.connect(environment)) {
      ListMicroVmsResponse list = api.listMicroVms(selector);
      print(list);
      if (watch && !environment.out().checkError()) {
        new MicroVmWatch(api, selector, environment.err())
            .follow(
                list.getResourceVersion(),
                new WatchCommand.EventPrinter(environment, output.format()));
      }
      return environment.out().checkError() ? ExitCode.BROKEN_PIPE : ExitCode.OK;
    }
  }

  private void print(ListMicroVmsResponse list) {
    switch (output.format()) {
      case JSON ->
          environment
              .out()
              .println(watch ? OutputOptions.jsonLine(list) : OutputOptions.json(list));
      case NAME -> {
        for (MicroVm vm : list.getMicrovmsList()) {
          environment.out().println(vm.getMeta().getName());
        }
      }
      case TABLE, WIDE -> {
        if (list.getMicrovmsCount() == 0) {
          environment.err().println("No microVMs. Make one: vireo run --attach --rm");
        } else {
          new MicroVmView(environment.clock())
              .printList(
                  list.getMicrovmsList(),
                  output.format() == OutputOptions.Format.WIDE,
                  environment.out());
        }
      }
    }
  }
}
