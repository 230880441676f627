package dev.vireo.cli;

import dev.vireo.proto.v1.Gang;
import dev.vireo.proto.v1.LabelExpression;
import dev.vireo.proto.v1.NodePreference;
import dev.vireo.proto.v1.PeerTerm;
import dev.vireo.proto.v1.Placement;
import dev.vireo.proto.v1.Preemption;
import dev.vireo.proto.v1.Toleration;
import dev.vireo.proto.v1.TopologySpread;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Where a microVM may go. */
final class PlacementOptions {
  @Option(
      names = "--node-selector",
      paramLabel = "KEY=VALUE",
      description = "Only nodes with this label; repeatable.")
  private Map<String, String> nodeSelector = Map.of();

  @Option(
      names = "--require",
      paramLabel = PlacementForms.Expression.LABEL,
      converter = PlacementForms.Expression.class,
      description = "Only nodes whose labels are so; repeatable.")
  private List<LabelExpression> required = List.of();

  @Option(
      names = "--prefer",
      paramLabel = PlacementForms.Preference.LABEL,
      converter = PlacementForms.Preference.class,
      description =
          "Rather nodes whose labels are so (an expression as of --require), by a weight of 1 to"
              + " 100; repeatable.")
  private List<NodePreference> preferred = List.of();

  @Option(
      names = "--tolerate",
      paramLabel = PlacementForms.TolerationForm.LABEL,
      converter = PlacementForms.TolerationForm.class,
      description = "Nodes with this taint, too; repeatable.")
  private List<Toleration> tolerations = List.of();

  @Option(
      names = "--affinity",
      paramLabel = PlacementForms.Peers.LABEL,
      converter = PlacementForms.Peers.class,
      description =
          "Only where a microVM of the project with these labels is: on a node with the same label"
              + " TOPOLOGY, or, for 'node', on the same node; repeatable.")
  private List<PeerTerm> affinity = List.of();

  @Option(
      names = "--anti-affinity",
      paramLabel = PlacementForms.Peers.LABEL,
      converter = PlacementForms.Peers.class,
      description = "Only where none is, and none may come there; repeatable.")
  private List<PeerTerm> antiAffinity = List.of();

  @Option(
      names = "--spread",
      paramLabel = PlacementForms.Spread.LABEL,
      converter = PlacementForms.Spread.class,
      description =
          "Only so that no TOPOLOGY has more than SKEW (1) more of these microVMs than another;"
              + " repeatable.")
  private List<TopologySpread> spread = List.of();

  @Option(
      names = "--priority",
      paramLabel = "NUMBER",
      description =
          "-1000 to 1000. Where there is no room, microVMs of a lower one leave for it. Default: 0.")
  private int priority;

  @Option(names = "--never-preempt", description = "It waits instead, whatever its priority.")
  private boolean neverPreempt;

  @Option(
      names = "--gang",
      paramLabel = PlacementForms.GangForm.LABEL,
      converter = PlacementForms.GangForm.class,
      description = "Placed with the other microVMs of this gang, once there are SIZE, or not.")
  private @Nullable Gang gang;

  Placement placement() {
    Placement.Builder placement =
        Placement.newBuilder()
            .putAllNodeSelector(nodeSelector)
            .addAllNodeRequired(required)
            .addAllNodePreferred(preferred)
            .addAllTolerations(tolerations)
            .addAllAffinity(affinity)
            .addAllAntiAffinity(antiAffinity)
            .addAllSpread(spread)
            .setPriority(priority);
    if (neverPreempt) {
      placement.setPreemption(Preemption.PREEMPT_NEVER);
    }
    if (gang != null) {
      placement.setGang(gang);
    }
    return placement.build();
  }
}
