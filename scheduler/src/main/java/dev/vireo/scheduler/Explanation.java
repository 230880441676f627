package dev.vireo.scheduler;

import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Why nodes are refused: each reason, and for how many of all nodes it is the first.
 *
 * @param nodes how many were looked at
 * @param reasons the commonest first
 */
public record Explanation(int nodes, List<Reason> reasons) {
  /**
   * Refusals of one {@link Refusal#group group}.
   *
   * @param refusal the least bad of them
   * @param nodes how many they are
   * @param example the id of the node that is refused so; of several the first
   */
  public record Reason(Refusal refusal, int nodes, String example) {
    private Reason and(Reason other) {
      Reason told = isTold(other) ? other : this;
      return new Reason(told.refusal, nodes + other.nodes, told.example);
    }

    private boolean isTold(Reason other) {
      return other.refusal.headroom() == refusal.headroom()
          ? other.example.compareTo(example) < 0
          : other.refusal.headroom() > refusal.headroom();
    }

    private String phrase() {
      return nodes + " " + refusal.phrase(nodes);
    }
  }

  public Explanation {
    reasons = List.copyOf(reasons);
  }

  /** How many nodes no reason speaks against. */
  public int suitable() {
    return nodes - reasons.stream().mapToInt(Reason::nodes).sum();
  }

  /** One line for people: "0 of 3 nodes: 2 lack memory (need 512 MiB, free 96), 1 is arm64". */
  public String summary() {
    if (nodes == 0) {
      return "no node has joined yet";
    }
    String count = "%d of %d %s".formatted(suitable(), nodes, nodes == 1 ? "node" : "nodes");
    return reasons.isEmpty()
        ? count
        : count + reasons.stream().map(Reason::phrase).collect(Collectors.joining(", ", ": ", ""));
  }

  /** Sums refusals up. */
  static final class Builder {
    private final Map<Object, Reason> byGroup = new HashMap<>();

    /**
     * So many nodes are refused so.
     *
     * @param first of them, by id
     */
    void add(Refusal refusal, int nodes, String first) {
      byGroup.merge(refusal.group(), new Reason(refusal, nodes, first), Reason::and);
    }

    /** Of reasons that are as common, the first by its words: the same whatever came first. */
    Explanation build(int nodes) {
      return new Explanation(
          nodes,
          byGroup.values().stream()
              .sorted(
                  Comparator.comparingInt(Reason::nodes).reversed().thenComparing(Reason::phrase))
              .toList());
    }
  }
}
