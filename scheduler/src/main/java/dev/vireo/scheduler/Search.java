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
  private final Locality locality;

  private @Nullable String bestId;
  private double bestScore = -1;

  /** No node of the cell has a better score than the bound. */
  private record Promise(Cell cell, Bias bias, double bound) {}

  Search(Request request, Profile profile, Surroundings surroundings, Locality locality) {
    this.request = request;
    this.profile = profile;
    this.surroundings = surroundings;
    this.locality = locality;
  }

  /**
   * The best; of equals, the first by id. Of all nodes as if none had the container image, and then
   * of those that have it: what that is worth does not depend on how full they are, so the index
   * needs to know nothing of it.
   *
   * @param kinds all nodes of each kind that nothing speaks against but, perhaps, want of room
   */
  Optional<Decision.Placed> best(List<Cell> kinds, Cluster cluster) {
    List<Promise> promises = new ArrayList<>(kinds.size());
    for (Cell kind : kinds) {
      look(kind, request.nodeRules().bias(kind.kind()), promises);
    }
    open(promises);
    List<String> withImage = locality.nodes(cluster.turn());
    if (!withImage.isEmpty()) {
      Set<Cell> suitable = new HashSet<>(kinds);
      if (bestId != null && locality.isAt(bestId)) {
        lookAt(bestId, suitable, cluster, true);
      }
      for (String id : withImage) {
        lookAt(id, suitable, cluster, true);
      }
    }
    return answer();
  }

  /** The best of a few nodes, each of which is looked at. */
  Optional<Decision.Placed> bestOf(Collection<String> ids, List<Cell> kinds, Cluster cluster) {
    Set<Cell> suitable = new HashSet<>(kinds);
    for (String id : ids) {
      lookAt(id, suitable, cluster, locality.isAt(id));
    }
    return answer();
  }

  private void lookAt(String id, Set<Cell> suitable, Cluster cluster, boolean here) {
    Cell cell = cluster.cell(id);
    if (cell != null && suitable.contains(cell)) {
      Resources allocated = cluster.allocation(id).resources();
      Bias bias = request.nodeRules().bias(cell.kind());
      offer(List.of(id), allocated, cell.kind(), bias, here);
    }
  }

  private Optional<Decision.Placed> answer() {
    return Optional.ofNullable(bestId).map(id -> new Decision.Placed(id, bestScore));
  }

  private void look(Cell cell, Bias bias, List<Promise> promises) {
    double bound = cell.bound(profile, Use.of(request.demand(), cell.kind().capacity()));
    if (bound >= 0) {
      double biased = bias.of(locality.of(bound, cell.kind(), false));
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
      offer(alike.getValue(), alike.getKey(), cell.kind(), bias, false);
    }
  }

  /**
   * Nodes of a kind that have been promised the same.
   *
   * @param here whether to count that they have the container image
   */
  private void offer(
      Collection<String> ids, Resources allocated, NodeKind kind, Bias bias, boolean here) {
    Resources used = allocated.plus(request.demand());
    if (!used.fits(kind.capacity())) {
      return;
    }
    double score =
        bias.of(locality.of(profile.score(Use.of(used, kind.capacity()), kind), kind, here));
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
