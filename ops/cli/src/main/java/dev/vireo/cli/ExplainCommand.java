package dev.vireo.cli;

import dev.vireo.proto.v1.ExplainPlacementRequest;
import dev.vireo.proto.v1.ExplainPlacementResponse;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.PlacementCandidate;
import dev.vireo.proto.v1.PlacementRefusal;
import java.io.PrintStream;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code vireo explain}. */
@Command(
    name = "explain",
    description = "Tells why a microVM is where it is, or has no node, and what would help.",
    footer = "It is what the scheduler would say now, were it to place the microVM anew.")
final class ExplainCommand implements Callable<Integer> {
  private final Environment environment;

  @Mixin private final ServerOptions server = new ServerOptions();
  @Mixin private final OutputOptions output = new OutputOptions();

  @Parameters(paramLabel = "NAME")
  private String name = "";

  ExplainCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() {
    try (Api api = server.connect(environment)) {
      ExplainPlacementResponse explained =
          api.microVms()
              .explainPlacement(
                  ExplainPlacementRequest.newBuilder().setName(api.microVmName(name)).build());
      PrintStream out = environment.out();
      switch (output.format()) {
        case JSON -> out.println(OutputOptions.json(explained));
        case NAME -> out.println(explained.getMicrovm().getStatus().getNode());
        case TABLE, WIDE -> print(explained, out);
      }
      return ExitCode.OK;
    }
  }

  private static void print(ExplainPlacementResponse explained, PrintStream out) {
    MicroVm vm = explained.getMicrovm();
    out.println(
        "%s is %s"
            .formatted(
                Api.id(vm),
                vm.getStatus().getNode().isEmpty()
                    ? "on no node: " + scheduled(vm)
                    : "on " + Api.id(vm.getStatus().getNode())));
    out.println(
        "%d of %d nodes could take it now"
            .formatted(explained.getSuitableNodes(), explained.getNodes()));
    if (explained.getCandidatesCount() > 0) {
      out.println();
      Table table = new Table("NODE", "SCORE", "");
      for (PlacementCandidate node : explained.getCandidatesList()) {
        table.add(
            Api.id(node.getNode()),
            String.format(Locale.ROOT, "%.3f", node.getScore()),
            remarks(node, vm));
      }
      table.print(out);
    }
    if (explained.getRefusalsCount() > 0) {
      out.println();
      Table table = new Table("NODES", "REASON", "EXAMPLE", "WHY");
      for (PlacementRefusal refusal : explained.getRefusalsList()) {
        table.add(
            refusal.getNodes(),
            refusal.getReason(),
            Api.id(refusal.getExampleNode()),
            refusal.getMessage());
      }
      table.print(out);
      if (explained.getSuitableNodes() == 0) {
        out.println();
        out.println("What would help:");
        explained.getRefusalsList().stream()
            .map(PlacementRefusal::getRemedy)
            .distinct()
            .forEach(remedy -> out.println("  " + remedy));
      }
    }
  }

  private static String remarks(PlacementCandidate node, MicroVm vm) {
    return Stream.of(
            node.getHasContainerImage() ? "has the image" : "",
            node.getNode().equals(vm.getStatus().getNode()) ? "it is here" : "")
        .filter(remark -> !remark.isEmpty())
        .collect(Collectors.joining(", "));
  }

  private static String scheduled(MicroVm vm) {
    return vm.getStatus().getConditionsList().stream()
        .filter(condition -> condition.getType().equals("Scheduled"))
        .map(condition -> condition.getReason() + ", " + condition.getMessage())
        .findFirst()
        .orElse(vm.getStatus().getState().toString());
  }
}
