package dev.vireo.cli;

import dev.vireo.proto.v1.Drain;
import dev.vireo.proto.v1.FenceNodeRequest;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeSpec;
import dev.vireo.proto.v1.Taint;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.locks.LockSupport;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.TypeConversionException;

/** What an operator does to nodes: closes, opens, empties, labels and gives them up. */
final class NodeOperations {
  private static final long POLL_NANOS = Duration.ofMillis(200).toNanos();

  private NodeOperations() {}

  /** {@code vireo node cordon}. */
  @Command(
      name = "cordon",
      description = "Closes nodes for new microVMs. Those that are there stay.")
  static final class Cordon implements Callable<Integer> {
    private final Environment environment;

    @Mixin private final ServerOptions server = new ServerOptions();
    @Mixin private final OutputOptions output = new OutputOptions();

    @Parameters(arity = "1..*", paramLabel = "NAME")
    private List<String> names = List.of();

    Cordon(Environment environment) {
      this.environment = environment;
    }

    @Override
    public Integer call() {
      try (Api api = server.connect(environment)) {
        NodeSpec closed = NodeSpec.newBuilder().setCordoned(true).build();
        for (String name : names) {
          Node node = new NodeUpdates(api).set(name, List.of("cordoned"), closed);
          print(node, "cordoned", output, environment);
        }
        return ExitCode.OK;
      }
    }
  }

  /** {@code vireo node uncordon}. */
  @Command(
      name = "uncordon",
      description =
          "Opens nodes for new microVMs, and calls drains off. What is leaving leaves all the same.")
  static final class Uncordon implements Callable<Integer> {
    private final Environment environment;

    @Mixin private final ServerOptions server = new ServerOptions();
    @Mixin private final OutputOptions output = new OutputOptions();

    @Parameters(arity = "1..*", paramLabel = "NAME")
    private List<String> names = List.of();

    Uncordon(Environment environment) {
      this.environment = environment;
    }

    @Override
    public Integer call() {
      try (Api api = server.connect(environment)) {
        for (String name : names) {
          Node node =
              new NodeUpdates(api)
                  .set(name, List.of("cordoned", "drain"), NodeSpec.getDefaultInstance());
          print(node, "open for microVMs", output, environment);
        }
        return ExitCode.OK;
      }
    }
  }

  /** {@code vireo node drain}. */
  @Command(
      name = "drain",
      description =
          "Empties a node: closes it, has its microVMs power off, and returns once none is left.",
      footer = {
        "A microVM that was run with --on-node-loss reschedule begins anew on another node, any",
        "other is FAILED and can be started by hand. Private copies of disks are lost. The drain",
        "goes on when this command is interrupted; 'vireo node uncordon' calls it off."
      })
  static final class DrainNode implements Callable<Integer> {
    private final Environment environment;

    @Mixin private final ServerOptions server = new ServerOptions();
    @Mixin private final OutputOptions output = new OutputOptions();

    @Parameters(paramLabel = "NAME")
    private String name = "";

    @Option(
        names = {"-f", "--force"},
        description = "Do not ask the guests first.")
    private boolean force;

    @Option(names = "--no-wait", description = "Return once the drain has begun.")
    private boolean noWait;

    @Option(
        names = "--timeout",
        paramLabel = "TIME",
        defaultValue = "10m",
        description = "How long to wait. Default: ${DEFAULT-VALUE}.")
    private Duration timeout = Duration.ofMinutes(10);

    DrainNode(Environment environment) {
      this.environment = environment;
    }

    @Override
    public Integer call() {
      try (Api api = server.connect(environment)) {
        Node node =
            new NodeUpdates(api)
                .set(
                    name,
                    List.of("cordoned", "drain"),
                    NodeSpec.newBuilder()
                        .setCordoned(true)
                        .setDrain(Drain.newBuilder().setForce(force))
                        .build());
        if (noWait) {
          print(node, left(node) + " to leave", output, environment);
        } else {
          print(awaitEmpty(api, node, timeout, environment), "drained", output, environment);
        }
        return ExitCode.OK;
      }
    }
  }

  /** {@code vireo node label}. */
  @Command(
      name = "label",
      description = "Sets labels of a node (KEY=VALUE), or takes them away (KEY-).",
      footer = {
        "They come over those that the node's worker gives it, and outlive it. What was placed by",
        "another label stays where it is. vireo.dev/cpu-overcommit and vireo.dev/memory-overcommit",
        "are ratios (1.5): how much of the node is promised for what it has."
      })
  static final class Label implements Callable<Integer> {
    private final Environment environment;

    @Mixin private final ServerOptions server = new ServerOptions();
    @Mixin private final OutputOptions output = new OutputOptions();

    @Parameters(index = "0", paramLabel = "NAME")
    private String name = "";

    @Parameters(index = "1..*", arity = "1..*", paramLabel = "KEY=VALUE|KEY-")
    private List<String> changes = List.of();

    Label(Environment environment) {
      this.environment = environment;
    }

    @Override
    public Integer call() {
      Map<String, String> set = new TreeMap<>();
      Set<String> unset = new LinkedHashSet<>();
      for (String change : changes) {
        int equals = change.indexOf('=');
        if (equals > 0) {
          set.put(change.substring(0, equals), change.substring(equals + 1));
        } else if (equals < 0 && change.length() > 1 && change.endsWith("-")) {
          unset.add(change.substring(0, change.length() - 1));
        } else {
          throw new CommandException(
              ExitCode.USAGE,
              "'%s' is neither KEY=VALUE nor KEY-".formatted(change),
              "see vireo node label --help");
        }
      }
      try (Api api = server.connect(environment)) {
        Node node =
            new NodeUpdates(api)
                .change(
                    name,
                    "labels",
                    spec -> {
                      spec.putAllLabels(set);
                      unset.forEach(spec::removeLabels);
                    });
        print(node, Text.labels(node.getMeta().getLabelsMap()), output, environment);
        return ExitCode.OK;
      }
    }
  }

  /** {@code vireo node taint}. */
  @Command(
      name = "taint",
      description =
          "Keeps microVMs away that do not tolerate it (KEY[=VALUE]:EFFECT), or lets them come again"
              + " (KEY-).",
      footer = {
        "Effects: NoSchedule: none is placed there; PreferNoSchedule: only if nothing else will do;",
        "NoExecute: those that are there leave, too, as when the node is drained."
      })
  static final class TaintNode implements Callable<Integer> {
    private final Environment environment;

    @Mixin private final ServerOptions server = new ServerOptions();
    @Mixin private final OutputOptions output = new OutputOptions();

    @Parameters(index = "0", paramLabel = "NAME")
    private String name = "";

    @Parameters(index = "1..*", arity = "1..*", paramLabel = "KEY[=VALUE]:EFFECT|KEY-")
    private List<String> changes = List.of();

    TaintNode(Environment environment) {
      this.environment = environment;
    }

    @Override
    public Integer call() {
      List<Taint> set = new ArrayList<>();
      Set<String> unset = new LinkedHashSet<>();
      for (String change : changes) {
        if (change.endsWith("-") && !change.contains(":")) {
          unset.add(change.substring(0, change.length() - 1));
        } else {
          set.add(taint(change));
        }
      }
      try (Api api = server.connect(environment)) {
        Node node =
            new NodeUpdates(api)
                .change(
                    name,
                    "taints",
                    spec -> {
                      List<Taint> kept =
                          spec.getTaintsList().stream()
                              .filter(taint -> !unset.contains(taint.getKey()))
                              .filter(taint ->
                                  set.stream().noneMatch(changed -> isSame(changed, taint)))
                              .toList();
                      spec.clearTaints().addAllTaints(kept).addAllTaints(set);
                    });
        print(node, NodeView.taints(node), output, environment);
        return ExitCode.OK;
      }
    }

    private static boolean isSame(Taint one, Taint other) {
      return one.getKey().equals(other.getKey()) && one.getEffect() == other.getEffect();
    }

    private static Taint taint(String text) {
      try {
        return new PlacementForms.TaintForm().convert(text);
      } catch (TypeConversionException e) {
        throw new CommandException(
            ExitCode.USAGE, String.valueOf(e.getMessage()), "see vireo node taint --help");
      }
    }
  }

  /** {@code vireo node fence}. */
  @Command(
      name = "fence",
      description =
          "Gives a LOST node up: what it ran is lost, and may run elsewhere. Only if its machine is"
              + " off, or can never run again what it ran.",
      footer = {
        "Vireo never concludes this by itself: a node that is not heard of may run its microVMs,",
        "and then they would run twice."
      })
  static final class Fence implements Callable<Integer> {
    private final Environment environment;

    @Mixin private final ServerOptions server = new ServerOptions();
    @Mixin private final OutputOptions output = new OutputOptions();

    @Parameters(paramLabel = "NAME")
    private String name = "";

    @Option(names = "--machine-is-off", required = true, description = "Your word for it.")
    @SuppressWarnings("UnusedVariable") // Required, so that nobody does it in passing.
    private boolean machineIsOff;

    @Option(
        names = "--timeout",
        paramLabel = "TIME",
        defaultValue = "60s",
        description = "How long to wait. Default: ${DEFAULT-VALUE}.")
    private Duration timeout = Duration.ofSeconds(60);

    Fence(Environment environment) {
      this.environment = environment;
    }

    @Override
    public Integer call() {
      try (Api api = server.connect(environment)) {
        Node node =
            api.nodes()
                .fenceNode(
                    FenceNodeRequest.newBuilder().setName(NodeUpdates.resourceName(name)).build());
        print(awaitEmpty(api, node, timeout, environment), "fenced", output, environment);
        return ExitCode.OK;
      }
    }
  }

  /** Returns once nothing is assigned to the node; says how far it has come, on standard error. */
  private static Node awaitEmpty(Api api, Node node, Duration timeout, Environment environment) {
    long end = System.nanoTime() + timeout.toNanos();
    NodeUpdates nodes = new NodeUpdates(api);
    String name = node.getMeta().getName();
    Node now = node;
    int told = -1;
    while (now.getStatus().getAssignedMicrovms() > 0) {
      if (now.getStatus().getAssignedMicrovms() != told) {
        told = now.getStatus().getAssignedMicrovms();
        environment.err().println("%s: %s left".formatted(Api.id(name), left(now)));
      }
      if (System.nanoTime() - end > 0) {
        throw new CommandException(
            ExitCode.TIMED_OUT,
            "%s still has %s".formatted(Api.id(name), left(now)),
            "It goes on. See what is there: vireo list; a guest has its stop grace to power off.");
      }
      LockSupport.parkNanos(POLL_NANOS);
      now = nodes.get(name);
    }
    return now;
  }

  private static String left(Node node) {
    int microVms = node.getStatus().getAssignedMicrovms();
    return microVms == 1 ? "1 microVM" : microVms + " microVMs";
  }

  /** A node that was changed: all of it, its name, or a line that ends with {@code news}. */
  static void print(Node node, String news, OutputOptions output, Environment environment) {
    environment
        .out()
        .println(
            switch (output.format()) {
              case JSON -> OutputOptions.jsonLine(node);
              case NAME -> node.getMeta().getName();
              case TABLE, WIDE -> Api.id(node.getMeta().getName()) + ": " + news;
            });
  }
}
