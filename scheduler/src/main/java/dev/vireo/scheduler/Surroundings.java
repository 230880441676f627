package dev.vireo.scheduler;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

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

    /** Domains are shut that have more than so many. Where there is no domain, nothing is. */
    record Shut(Tally there, long most, Refusal refusal) implements Bar {
      @Override
      public String topology() {
        return there.topology();
      }
    }

    /** These domains alone are open. */
    record Open(String topology, Set<String> domains, Refusal refusal) implements Bar {}

    default boolean bars(@Nullable String domain) {
      return switch (this) {
        case Shut(Tally there, long most, Refusal _) -> domain != null && there.in(domain) > most;
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
    Peers peers = cluster.peers();
    List<Tally> repulsions = peers.repulsions(request.peer());
    if (repulsions.isEmpty() && request.peer().rules().isEmpty()) {
      return NONE;
    }
    List<Bar> bars = new ArrayList<>();
    repulsions.forEach(theirs -> bars.add(apart(theirs)));
    for (PeerRule rule : request.peer().rules()) {
      Tally there = peers.tally(rule);
      switch (rule) {
        case PeerRule.Apart _ -> bars.add(apart(there));
        case PeerRule.Near near -> near(near, there, request).ifPresent(bars::add);
        case PeerRule.Spread spread -> bars.add(spread(spread, there, request, suitable));
      }
    }
    return new Surroundings(bars);
  }

  private static Bar apart(Tally there) {
    return new Bar.Shut(there, 0, new Refusal.TooNear(there.topology()));
  }

  private static Optional<Bar> near(PeerRule.Near rule, Tally there, Request request) {
    if (there.isEmpty() && rule.peers().matches(request.peer())) {
      return Optional.empty(); // The first of those that want to be together.
    }
    return Optional.of(
        new Bar.Open(
            rule.topology(),
            there.inhabited(),
            new Refusal.TooFar(rule.peers().toString(), rule.topology())));
  }

  private static Bar spread(
      PeerRule.Spread rule, Tally there, Request request, Collection<Cell> suitable) {
    long more = (long) rule.maxSkew() - (rule.peers().matches(request.peer()) ? 1 : 0);
    Refusal refusal = new Refusal.TooCrowded(rule.topology(), rule.maxSkew());
    if (rule.topology().equals(PeerRule.NODE)) {
      return new Bar.Shut(there, there.fewest(suitable) + more, refusal);
    }
    Set<String> open = new HashSet<>();
    for (Cell nodes : suitable) {
      String domain = nodes.kind().labels().get(rule.topology());
      if (domain != null) {
        open.add(domain);
      }
    }
    int fewest = open.stream().mapToInt(there::in).min().orElse(0);
    open.removeIf(domain -> there.in(domain) > fewest + more);
    return new Bar.Open(rule.topology(), open, refusal);
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
