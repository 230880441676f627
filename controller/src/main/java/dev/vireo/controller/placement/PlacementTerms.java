package dev.vireo.controller.placement;

import dev.vireo.controller.microvm.MicroVmName;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.PeerTerm;
import dev.vireo.proto.v1.Placement;
import dev.vireo.proto.v1.TaintEffect;
import dev.vireo.proto.v1.TopologySpread;
import dev.vireo.scheduler.LabelExpression;
import dev.vireo.scheduler.LabelExpression.Operator;
import dev.vireo.scheduler.NodeRules;
import dev.vireo.scheduler.Peer;
import dev.vireo.scheduler.PeerRule;
import dev.vireo.scheduler.PeerSelector;
import dev.vireo.scheduler.Preference;
import dev.vireo.scheduler.Taint;
import dev.vireo.scheduler.Toleration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** Says in the scheduler's own terms what a spec wants of nodes and of other microVMs. */
public final class PlacementTerms {
  private PlacementTerms() {}

  /** Of a placement that has been validated. */
  public static NodeRules nodeRules(Placement placement) {
    return new NodeRules(
        placement.getNodeSelectorMap(),
        placement.getNodeRequiredList().stream().map(PlacementTerms::expression).toList(),
        placement.getNodePreferredList().stream()
            .map(preferred ->
                new Preference(expression(preferred.getExpression()), preferred.getWeight()))
            .toList(),
        placement.getTolerationsList().stream().map(PlacementTerms::toleration).toList());
  }

  static Peer peer(MicroVm microVm) {
    String project =
        MicroVmName.parse(microVm.getMeta().getName()).map(MicroVmName::project).orElse("");
    Placement placement = microVm.getSpec().getPlacement();
    List<PeerRule> rules = new ArrayList<>();
    for (PeerTerm term : placement.getAffinityList()) {
      rules.add(
          new PeerRule.Near(new PeerSelector(project, term.getLabelsMap()), term.getTopologyKey()));
    }
    for (PeerTerm term : placement.getAntiAffinityList()) {
      rules.add(
          new PeerRule.Apart(
              new PeerSelector(project, term.getLabelsMap()), term.getTopologyKey()));
    }
    for (TopologySpread spread : placement.getSpreadList()) {
      rules.add(
          new PeerRule.Spread(
              new PeerSelector(project, spread.getLabelsMap()),
              spread.getTopologyKey(),
              spread.getMaxSkew()));
    }
    return new Peer(project, microVm.getMeta().getLabelsMap(), placement.getPriority(), rules);
  }

  /** Empty for one whose effect this release does not know. */
  public static Optional<Taint> taint(dev.vireo.proto.v1.Taint taint) {
    return effect(taint.getEffect())
        .map(effect -> new Taint(taint.getKey(), taint.getValue(), effect));
  }

  private static Toleration toleration(dev.vireo.proto.v1.Toleration toleration) {
    return new Toleration(
        Optional.of(toleration.getKey()).filter(key -> !key.isEmpty()),
        Optional.of(toleration.getValue()).filter(value -> !value.isEmpty()),
        effect(toleration.getEffect()));
  }

  private static Optional<Taint.Effect> effect(TaintEffect effect) {
    return switch (effect) {
      case NO_SCHEDULE -> Optional.of(Taint.Effect.NO_SCHEDULE);
      case PREFER_NO_SCHEDULE -> Optional.of(Taint.Effect.PREFER_NO_SCHEDULE);
      case NO_EXECUTE -> Optional.of(Taint.Effect.NO_EXECUTE);
      case TAINT_EFFECT_UNSPECIFIED, UNRECOGNIZED -> Optional.empty();
    };
  }

  private static LabelExpression expression(dev.vireo.proto.v1.LabelExpression expression) {
    return new LabelExpression(
        expression.getKey(),
        switch (expression.getOperator()) {
          case IN -> Operator.IN;
          case NOT_IN -> Operator.NOT_IN;
          case EXISTS -> Operator.EXISTS;
          case DOES_NOT_EXIST -> Operator.DOES_NOT_EXIST;
          case OPERATOR_UNSPECIFIED, UNRECOGNIZED ->
              throw new IllegalArgumentException("not validated: " + expression);
        },
        Set.copyOf(expression.getValuesList()));
  }
}
