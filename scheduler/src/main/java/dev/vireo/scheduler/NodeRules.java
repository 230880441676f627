package dev.vireo.scheduler;

import java.util.List;
import java.util.Map;

/**
 * What a microVM wants of nodes' labels and taints.
 *
 * @param selector labels that the node must have, all of them
 * @param required of its labels, all of them
 * @param preferred of those that remain
 * @param tolerations the taints that do not matter
 */
public record NodeRules(
    Map<String, String> selector,
    List<LabelExpression> required,
    List<Preference> preferred,
    List<Toleration> tolerations) {
  /** Any node that has no taints. */
  public static final NodeRules NONE = selecting(Map.of());

  /** A node that is used against a taint comes after all others but emulated ones. */
  private static final double TAINTED_FACTOR = 0.03;

  public NodeRules {
    selector = Map.copyOf(selector);
    required = List.copyOf(required);
    preferred = List.copyOf(preferred);
    tolerations = List.copyOf(tolerations);
  }

  public static NodeRules selecting(Map<String, String> labels) {
    return new NodeRules(labels, List.of(), List.of(), List.of());
  }

  /** Whether the taint does not matter. */
  public boolean tolerate(Taint taint) {
    return tolerations.stream().anyMatch(toleration -> toleration.tolerates(taint));
  }

  /**
   * What these rules make of scores, for all nodes of a kind the same; monotone, so that a bound
   * stays one.
   *
   * @param factor of the whole
   * @param preferred the part of the preferences' weight that the kind has; negative: there are
   *     none
   */
  record Bias(double factor, double preferred) {
    private static final Bias NONE = new Bias(1, -1);

    /** 0 to 1, of a score of 0 to 1: preferences count as much as it does. */
    double of(double score) {
      return factor * (preferred < 0 ? score : (score + preferred) / 2);
    }
  }

  Bias bias(NodeKind kind) {
    if (preferred.isEmpty() && kind.taints().isEmpty()) {
      return Bias.NONE;
    }
    boolean avoided =
        kind.taints().stream()
            .anyMatch(
                taint -> taint.effect() == Taint.Effect.PREFER_NO_SCHEDULE && !tolerate(taint));
    return new Bias(avoided ? TAINTED_FACTOR : 1, preferredPart(kind));
  }

  private double preferredPart(NodeKind kind) {
    double all = 0;
    double met = 0;
    for (Preference preference : preferred) {
      all += preference.weight();
      if (preference.expression().matches(kind.labels())) {
        met += preference.weight();
      }
    }
    return all == 0 ? -1 : met / all;
  }
}
