package dev.vireo.cli;

import dev.vireo.proto.v1.Node;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code vireo node}: the machines that run microVMs. */
@Command(
    name = "node",
    synopsisSubcommandLabel = "COMMAND",
    description = "Shows, closes, empties and labels nodes, and adds emulated ones.")
final class NodeCommand {
  /** {@code vireo node list}. */
  @Command(name = "list", aliases = "ls", description = "Lists the nodes.")
  static final class ListNodes implements Callable<Integer> {
    private final Environment environment;

    @Mixin private final ServerOptions server = new ServerOptions();
    @Mixin private final OutputOptions output = new OutputOptions();

    ListNodes(Environment environment) {
      this.environment = environment;
    }

    @Override
    public Integer call() {
      try (Api api = server.connect(environment)) {
        NodeView.print(api.listNodes(), output.format(), environment);
        return ExitCode.OK;
      }
    }
  }

  /** {@code vireo node get}. */
  @Command(name = "get", aliases = "describe", description = "Shows one node.")
  static final class GetNode implements Callable<Integer> {
    private final Environment environment;

    @Mixin private final ServerOptions server = new ServerOptions();
    @Mixin private final OutputOptions output = new OutputOptions();

    @Parameters(paramLabel = "NAME")
    private String name = "";

    GetNode(Environment environment) {
      this.environment = environment;
    }

    @Override
    public Integer call() {
      try (Api api = server.connect(environment)) {
        Node node = new NodeUpdates(api).get(name);
        switch (output.format()) {
          case JSON -> environment.out().println(OutputOptions.json(node));
          case NAME -> environment.out().println(node.getMeta().getName());
          case TABLE, WIDE -> new NodeView(environment.clock()).printPage(node, environment.out());
        }
        return ExitCode.OK;
      }
    }
  }
}
