package dev.vireo.scheduler;

import dev.vireo.scheduler.NodeRules.Bias;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * One search for the best of all nodes that have the room, by branch and bound: exact, and short
 * because a cell that cannot hold a better node than the best so far is not opened.
 */
final class Search {
  private final Request request;
  private final Profile profile;
  private final Surroundings surroundings;

  private @Nullable String bestId;
  private double bestScore = -1;

  /** No node of the cell has a better score than the bound. */
  private record Promise(Cell cell, Bias bias, double bound) {}

  Search(Request request, Profile profile, Surroundings surroundings) {
    this.request = request;
    this.profile = profile;
    this.surroundings = surroundings;
  }

  /**
   * The best; of equals, the first by id.
   *
   * @param kinds all nodes of each kind that nothing speaks against but, perhaps, want of room
   */
  Optional<Decision.Placed> best(List<Cell> kinds) {
    List<Promise> promises = new ArrayList<>(kinds.size());
    for (Cell kind : kinds) {
      look(kind, request.nodeRules().bias(kind.kind()), promises);
    }
    open(promises);
    return answer();
  }

  /** The best of a few nodes, each of which is looked at. */
  Optional<Decision.Placed> bestOf(Collection<String> ids, List<Cell> kinds, Cluster cluster) {
    Set<Cell> suitable = new HashSet<>(kinds);
    for (String id : ids) {
      Cell kind = cluster.cell(id);
      if (kind != null && suitable.contains(kind)) {
        Bias bias = request.nodeRules().bias(kind.kind());
        offer(List.of(id), cluster.allocation(id).resources(), kind.kind(), bias);
      }
    }
    return answer();
  }

  private Optional<Decision.Placed> answer() {
    return Optional.ofNullable(bestId).map(id -> new Decision.Placed(id, bestScore));
  }

  private void look(Cell cell, Bias bias, List<Promise> promises) {
    double bound = cell.bound(profile, Use.of(request.demand(), cell.kind().capacity()));
    if (bound >= 0) {
      double biased = bias.of(bound);
      if (biased >= bestScore) {
        promises.add(new Promise(cell, bias, biased));
      }
    }
  }

  /** The most promising first: the better the best so far, the more can be left shut. */
  private void open(List<Promise> promises) {
    promises.sort(Comparator.comparingDouble(Promise::bound).reversed());
    for (Promise promise : promises) {
      if (promise.bound >= bestScore) {
        open(promise.cell, promise.bias);
      }
    }
  }

  private void open(Cell cell, Bias bias) {
    if (!cell.quarters().isEmpty()) {
      List<Promise> promises = new ArrayList<>(cell.quarters().size());
      for (Cell quarter : cell.quarters()) {
        look(quarter, bias, promises);
      }
      open(promises);
      return;
    }
    for (Map.Entry<Resources, NavigableSet<String>> alike : cell.byAllocation().entrySet()) {
      offer(alike.getValue(), alike.getKey(), cell.kind(), bias);
    }
  }

  /** Nodes of a kind that have been promised the same. */
  private void offer(Collection<String> ids, Resources allocated, NodeKind kind, Bias bias) {
    Resources used = allocated.plus(request.demand());
    if (!used.fits(kind.capacity())) {
      return;
    }
    double score = bias.of(profile.score(Use.of(used, kind.capacity()), kind));
    if (score < bestScore) {
      return;
    }
    for (String id : ids) {
      if (!request.avoid().contains(id) && surroundings.refuse(id).isEmpty()) {
        if (bestId == null || score > bestScore || id.compareTo(bestId) < 0) {
          bestId = id;
          bestScore = score;
        }
        return;
      }
    }
  }
}
