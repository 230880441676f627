package dev.vireo.scheduler;

import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Decides which node takes a microVM: of those that no {@link Filter} refuses, the one with the
 * best score; of equals, the first by id.
 */
public final class Scheduler {
  private final List<Filter> filters;
  private final Profile profile;

  public Scheduler(List<Filter> filters, Profile profile) {
    this.filters = List.copyOf(filters);
    this.profile = profile;
  }

  /** With every filter there is. */
  public static Scheduler standard(Profile profile) {
    return new Scheduler(Filter.STANDARD, profile);
  }

  /**
   * Decides. Changes nothing: the caller reserves what was decided in its {@link Ledger} before it
   * takes the next snapshot.
   */
  public Decision place(Request request, Collection<Node> nodes) {
    SortedMap<String, Refusal> refusals = new TreeMap<>();
    Candidate best = null;
    for (Node node : nodes) {
      Optional<Refusal> refusal = firstRefusal(request, node);
      if (refusal.isPresent()) {
        refusals.put(node.id(), refusal.get());
      } else {
        best = new Candidate(node.id(), profile.score(request, node)).orBetter(best);
      }
    }
    Explanation explanation = new Explanation(nodes.size(), refusals);
    return best == null
        ? new Decision.Unplaceable(explanation)
        : new Decision.Placed(best.nodeId, best.score, explanation);
  }

  private Optional<Refusal> firstRefusal(Request request, Node node) {
    for (Filter filter : filters) {
      Optional<Refusal> refusal = filter.refuse(request, node);
      if (refusal.isPresent()) {
        return refusal;
      }
    }
    return Optional.empty();
  }

  private record Candidate(String nodeId, double score) {
    Candidate orBetter(@Nullable Candidate other) {
      if (other == null || score > other.score) {
        return this;
      }
      return score == other.score && nodeId.compareTo(other.nodeId) < 0 ? this : other;
    }
  }
}
