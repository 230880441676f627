package dev.vireo.scheduler;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Decides which node takes a microVM: of those that no {@link Filter} refuses and that have the
 * room, the one with the best score; of equals, the first by id.
 */
public final class Scheduler {
  private static final Comparator<Map.Entry<String, Request>> LARGEST_FIRST =
      Comparator.comparingLong((Map.Entry<String, Request> member) -> member.getValue().memoryMib())
          .thenComparingInt(member -> member.getValue().vcpus())
          .reversed()
          .thenComparing(Map.Entry::getKey);

  /** If no more than these are open, each is looked at: quicker than to find one in the index. */
  private static final int FEW_NODES = 256;

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
    List<Cell> suitable = suitable(request, cluster);
    Surroundings surroundings = Surroundings.of(request, cluster, suitable);
    suitable.removeIf(nodes -> surroundings.refuse(nodes.kind()).isPresent());
    Locality locality = Locality.of(request, cluster);
    Search search = new Search(request, profile, surroundings, locality);
    Optional<Set<String>> only = surroundings.only().filter(ids -> ids.size() <= FEW_NODES);
    Optional<Decision.Placed> best =
        only.isPresent()
            ? search.bestOf(only.get(), suitable, cluster)
            : search.best(suitable, cluster);
    return best.isPresent() ? best.get() : new Decision.Unplaceable(explain(request, cluster));
  }

  private List<Cell> suitable(Request request, Cluster cluster) {
    List<Cell> suitable = new ArrayList<>();
    for (Cell nodes : cluster.kinds()) {
      if (firstRefusal(request, nodes.kind()).isEmpty()) {
        suitable.add(nodes);
      }
    }
    return suitable;
  }

  /** Why nodes are refused; each by its first reason. */
  public Explanation explain(Request request, Cluster cluster) {
    Explanation.Builder explanation = new Explanation.Builder();
    Surroundings surroundings = Surroundings.of(request, cluster, suitable(request, cluster));
    for (Cell nodes : cluster.kinds()) {
      firstRefusal(request, nodes.kind())
          .or(() -> surroundings.refuse(nodes.kind()))
          .ifPresentOrElse(
              refusal -> explanation.add(refusal, nodes.nodes(), nodes.first()),
              () -> explain(request, surroundings, nodes, explanation));
    }
    return explanation.build(cluster.size());
  }

  /** Of nodes whose kind will do. */
  private static void explain(
      Request request, Surroundings surroundings, Cell nodes, Explanation.Builder explanation) {
    nodes.forEachAllocation((allocated, ids) -> {
      Optional<Refusal> lack = lack(request.demand(), nodes.kind().capacity().minus(allocated));
      if (request.avoid().isEmpty() && surroundings.concernKindsOnly()) {
        lack.ifPresent(refusal -> explanation.add(refusal, ids.size(), ids.first()));
        return;
      }
      for (String id : ids) {
        refuse(request, surroundings, id)
            .or(() -> lack)
            .ifPresent(refusal -> explanation.add(refusal, 1, id));
      }
    });
  }

  private static Optional<Refusal> refuse(
      Request request, Surroundings surroundings, String nodeId) {
    return request.avoid().contains(nodeId)
        ? Optional.of(new Refusal.JustRefused())
        : surroundings.refuse(nodeId);
  }

  /**
   * The best nodes that could take it, the best first: the first is that of {@link #place}, unless
   * more nodes have its container image than that looks at. Looks at each node.
   *
   * @param most how many at most
   */
  public List<Decision.Placed> rank(Request request, Cluster cluster, int most) {
    List<Cell> suitable = suitable(request, cluster);
    Surroundings surroundings = Surroundings.of(request, cluster, suitable);
    Locality locality = Locality.of(request, cluster);
    List<Decision.Placed> ranked = new ArrayList<>();
    for (Cell nodes : suitable) {
      NodeKind kind = nodes.kind();
      if (surroundings.refuse(kind).isEmpty()) {
        NodeRules.Bias bias = request.nodeRules().bias(kind);
        nodes.forEachAllocation((allocated, ids) -> {
          Resources used = allocated.plus(request.demand());
          if (used.fits(kind.capacity())) {
            double score = profile.score(Use.of(used, kind.capacity()), kind);
            for (String id : ids) {
              if (refuse(request, surroundings, id).isEmpty()) {
                boolean here = locality.isAt(id);
                ranked.add(new Decision.Placed(id, bias.of(locality.of(score, kind, here))));
              }
            }
          }
        });
      }
    }
    return ranked.stream().sorted(Decision.Placed.BEST_FIRST).limit(most).toList();
  }

  /**
   * Which microVMs would have to leave a node so that it can take this one, which is of a higher
   * priority: on the node where they matter least. Decides, and changes nothing. Looks at each
   * node; none leaves for the sake of rules about neighbours.
   */
  public Optional<Preemption> preempt(Request request, Cluster cluster) {
    int priority = request.peer().priority();
    if (!cluster.ledger().hasBelow(priority)) {
      return Optional.empty();
    }
    List<Cell> suitable = suitable(request, cluster);
    Surroundings surroundings = Surroundings.of(request, cluster, suitable);
    List<Preemption.Offer> offers = new ArrayList<>();
    for (Cell nodes : suitable) {
      if (surroundings.refuse(nodes.kind()).isPresent()) {
        continue;
      }
      nodes.forEachAllocation((allocated, ids) ->
          ids.stream()
              .filter(id -> refuse(request, surroundings, id).isEmpty())
              .map(id ->
                  Preemption.Offer.of(
                      id,
                      request.demand(),
                      allocated,
                      nodes.kind().capacity(),
                      cluster.ledger().below(priority, id)))
              .flatMap(Optional::stream)
              .forEach(offers::add));
    }
    return offers.stream().min(Preemption.Offer.BEST_FIRST).map(Preemption.Offer::accepted);
  }

  /**
   * Finds nodes for all of a gang, the largest first, and reserves their room; or for none. Greedy:
   * it does not try every way to put them.
   *
   * @param requests by uid; none has a claim
   */
  public Together placeTogether(Map<String, Request> requests, Cluster cluster) {
    Map<String, String> nodes = new HashMap<>();
    List<Map.Entry<String, Request>> largestFirst =
        requests.entrySet().stream().sorted(LARGEST_FIRST).toList();
    for (Map.Entry<String, Request> member : largestFirst) {
      switch (place(member.getValue(), cluster)) {
        case Decision.Placed(String nodeId, double _) -> {
          Request request = member.getValue();
          cluster.reserve(member.getKey(), nodeId, request.demand(), request.peer());
          nodes.put(member.getKey(), nodeId);
        }
        case Decision.Unplaceable(Explanation explanation) -> {
          nodes.keySet().forEach(cluster::release);
          return new Together.Unplaceable(member.getKey(), explanation);
        }
      }
    }
    return new Together.Placed(nodes);
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
