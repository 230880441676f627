package dev.vireo.scheduler;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Where one microVM may not go because of where others are. Made for one decision.
 *
 * <p>Topologies by a label are the same for all nodes of a kind, so that the index answers them; of
 * the topology of nodes it is told which nodes are shut, or which alone are open.
 */
final class Surroundings {
  private static final Surroundings NONE = new Surroundings(List.of());

  private final List<Bar> bars;

  /** What one rule makes of a topology's domains. */
  private sealed interface Bar {
    String topology();

    Refusal refusal();

    /** These domains are shut. Where there is none, nothing is. */
    record Shut(String topology, Set<String> domains, Refusal refusal) implements Bar {}

    /** These domains alone are open. */
    record Open(String topology, Set<String> domains, Refusal refusal) implements Bar {}

    default boolean bars(@org.jspecify.annotations.Nullable String domain) {
      return switch (this) {
        case Shut(String _, Set<String> domains, Refusal _) ->
            domain != null && domains.contains(domain);
        case Open(String _, Set<String> domains, Refusal _) ->
            domain == null || !domains.contains(domain);
      };
    }
  }

  private Surroundings(List<Bar> bars) {
    this.bars = bars;
  }

  /**
   * Looks around.
   *
   * @param suitable kinds of nodes that nothing else speaks against
   */
  static Surroundings of(Request request, Cluster cluster, Collection<Cell> suitable) {
    if (!cluster.peers().concern(request.peer())) {
      return NONE;
    }
    List<Bar> bars = new ArrayList<>();
    cluster
        .peers()
        .repulsions(request.peer())
        .forEach((rule, nodes) -> bars.add(apart(rule, nodes, cluster)));
    for (PeerRule rule : request.peer().rules()) {
      Map<String, Integer> counts = cluster.peers().countByNode(rule.peers());
      switch (rule) {
        case PeerRule.Apart apart -> bars.add(apart(apart, counts.keySet(), cluster));
        case PeerRule.Near near ->
            near(near, counts.keySet(), request, cluster).ifPresent(bars::add);
        case PeerRule.Spread spread -> bars.add(spread(spread, counts, request, cluster, suitable));
      }
    }
    return new Surroundings(bars);
  }

  private static Bar apart(PeerRule.Apart rule, Collection<String> nodes, Cluster cluster) {
    return new Bar.Shut(
        rule.topology(),
        domains(rule, nodes, cluster).keySet(),
        new Refusal.TooNear(rule.topology()));
  }

  private static Optional<Bar> near(
      PeerRule.Near rule, Collection<String> nodes, Request request, Cluster cluster) {
    if (nodes.isEmpty() && rule.peers().matches(request.peer())) {
      return Optional.empty(); // The first of those that want to be together.
    }
    return Optional.of(
        new Bar.Open(
            rule.topology(),
            domains(rule, nodes, cluster).keySet(),
            new Refusal.TooFar(rule.peers().toString(), rule.topology())));
  }

  private static Bar spread(
      PeerRule.Spread rule,
      Map<String, Integer> counts,
      Request request,
      Cluster cluster,
      Collection<Cell> suitable) {
    int itself = rule.peers().matches(request.peer()) ? 1 : 0;
    Refusal refusal = new Refusal.TooCrowded(rule.topology(), rule.maxSkew());
    if (rule.topology().equals(PeerRule.NODE)) {
      int most = fewestOnANode(counts, cluster, suitable) + rule.maxSkew() - itself;
      Set<String> crowded = new HashSet<>();
      counts.forEach((node, count) -> {
        if (count > most) {
          crowded.add(node);
        }
      });
      return new Bar.Shut(PeerRule.NODE, crowded, refusal);
    }
    Map<String, Integer> byDomain = domains(rule, counts, cluster);
    Set<String> open = new HashSet<>();
    for (Cell nodes : suitable) {
      String domain = nodes.kind().labels().get(rule.topology());
      if (domain != null) {
        open.add(domain);
      }
    }
    int fewest = open.stream().mapToInt(domain -> byDomain.getOrDefault(domain, 0)).min().orElse(0);
    open.removeIf(domain -> byDomain.getOrDefault(domain, 0) + itself - fewest > rule.maxSkew());
    return new Bar.Open(rule.topology(), open, refusal);
  }

  private static int fewestOnANode(
      Map<String, Integer> counts, Cluster cluster, Collection<Cell> suitable) {
    int nodes = suitable.stream().mapToInt(Cell::nodes).sum();
    int fewest = Integer.MAX_VALUE;
    int withSome = 0;
    for (Map.Entry<String, Integer> node : counts.entrySet()) {
      if (suitable.stream().anyMatch(kind -> cluster.isOf(kind, node.getKey()))) {
        withSome++;
        fewest = Math.min(fewest, node.getValue());
      }
    }
    return withSome < nodes || withSome == 0 ? 0 : fewest;
  }

  private static Map<String, Integer> domains(
      PeerRule rule, Collection<String> nodes, Cluster cluster) {
    Map<String, Integer> ones = new HashMap<>();
    nodes.forEach(node -> ones.put(node, 1));
    return domains(rule, ones, cluster);
  }

  private static Map<String, Integer> domains(
      PeerRule rule, Map<String, Integer> counts, Cluster cluster) {
    if (rule.topology().equals(PeerRule.NODE)) {
      return counts;
    }
    Map<String, Integer> byDomain = new HashMap<>();
    counts.forEach((node, count) ->
        cluster
            .kind(node)
            .map(kind -> kind.labels().get(rule.topology()))
            .ifPresent(domain -> byDomain.merge(domain, count, Integer::sum)));
    return byDomain;
  }

  /** Why no node of a kind will do. */
  Optional<Refusal> refuse(NodeKind kind) {
    for (Bar bar : bars) {
      if (!bar.topology().equals(PeerRule.NODE) && bar.bars(kind.labels().get(bar.topology()))) {
        return Optional.of(bar.refusal());
      }
    }
    return Optional.empty();
  }

  /** Why one node will not do, beside what is said of its kind. */
  Optional<Refusal> refuse(String nodeId) {
    for (Bar bar : bars) {
      if (bar.topology().equals(PeerRule.NODE) && bar.bars(nodeId)) {
        return Optional.of(bar.refusal());
      }
    }
    return Optional.empty();
  }

  /** Whether all nodes of a kind are alike to it. */
  boolean concernKindsOnly() {
    return bars.stream().noneMatch(bar -> bar.topology().equals(PeerRule.NODE));
  }

  /** If only some nodes are open: those, of which some may be shut all the same. */
  Optional<Set<String>> only() {
    return bars.stream()
        .filter(bar -> bar instanceof Bar.Open && bar.topology().equals(PeerRule.NODE))
        .map(bar -> Collections.unmodifiableSet(((Bar.Open) bar).domains()))
        .min((a, b) -> Integer.compare(a.size(), b.size()));
  }
}
