package dev.vireo.scheduler;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Decides which node takes a microVM: of those that no {@link Filter} refuses and that have the
 * room, the one with the best score; of equals, the first by id.
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
   * Decides. Changes nothing: the caller {@link Cluster#reserve reserves} what was decided before
   * the next decision.
   */
  public Decision place(Request request, Cluster cluster) {
    List<Cell> suitable = new ArrayList<>();
    for (Cell nodes : cluster.kinds()) {
      if (firstRefusal(request, nodes.kind()).isEmpty()) {
        suitable.add(nodes);
      }
    }
    Optional<Decision.Placed> best = new Search(request, profile).best(suitable);
    return best.isPresent() ? best.get() : new Decision.Unplaceable(explain(request, cluster));
  }

  /** Why nodes are refused; each by its first reason. */
  public Explanation explain(Request request, Cluster cluster) {
    Explanation.Builder explanation = new Explanation.Builder();
    for (Cell nodes : cluster.kinds()) {
      Optional<Refusal> refusal = firstRefusal(request, nodes.kind());
      if (refusal.isPresent()) {
        explanation.add(refusal.get(), nodes.nodes());
      } else {
        explanation.add(new Refusal.JustRefused(), cluster.count(nodes, request.avoid()));
        nodes.forEachAllocation((allocated, ids) ->
            lack(request.demand(), nodes.kind().capacity().minus(allocated))
                .ifPresent(lack -> explanation.add(lack, count(ids, request.avoid()))));
      }
    }
    return explanation.build(cluster.size());
  }

  private static int count(Set<String> ids, Set<String> except) {
    return (int) ids.stream().filter(id -> !except.contains(id)).count();
  }

  private static Optional<Refusal> lack(Resources need, Resources free) {
    if (need.cpuMilli() > free.cpuMilli()) {
      return Optional.of(new Refusal.LacksCpu(need.cpuMilli(), Math.max(0, free.cpuMilli())));
    }
    if (need.memoryMib() > free.memoryMib()) {
      return Optional.of(new Refusal.LacksMemory(need.memoryMib(), Math.max(0, free.memoryMib())));
    }
    return Optional.empty();
  }

  private Optional<Refusal> firstRefusal(Request request, NodeKind kind) {
    for (Filter filter : filters) {
      Optional<Refusal> refusal = filter.refuse(request, kind);
      if (refusal.isPresent()) {
        return refusal;
      }
    }
    return Optional.empty();
  }
}
