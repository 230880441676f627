package dev.vireo.scheduler;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * One search for the best of all nodes that have the room, by branch and bound: exact, and short
 * because a cell that cannot hold a better node than the best so far is not opened.
 */
final class Search {
  private final Request request;
  private final Profile profile;

  private @Nullable String bestId;
  private double bestScore = -1;

  /** No node of the cell has a better score than the bound. */
  private record Promise(Cell cell, double bound) {}

  Search(Request request, Profile profile) {
    this.request = request;
    this.profile = profile;
  }

  /**
   * The best; of equals, the first by id.
   *
   * @param kinds all nodes of each kind that nothing speaks against but, perhaps, want of room
   */
  Optional<Decision.Placed> best(List<Cell> kinds) {
    open(kinds);
    return Optional.ofNullable(bestId).map(id -> new Decision.Placed(id, bestScore));
  }

  /** The most promising first: the better the best so far, the more can be left shut. */
  private void open(List<Cell> cells) {
    List<Promise> promises = new ArrayList<>(cells.size());
    for (Cell cell : cells) {
      double bound = cell.bound(profile, Use.of(request.demand(), cell.kind().capacity()));
      if (bound >= 0 && bound >= bestScore) {
        promises.add(new Promise(cell, bound));
      }
    }
    promises.sort(Comparator.comparingDouble(Promise::bound).reversed());
    for (Promise promise : promises) {
      if (promise.bound >= bestScore) {
        open(promise.cell);
      }
    }
  }

  private void open(Cell cell) {
    if (!cell.quarters().isEmpty()) {
      open(cell.quarters());
      return;
    }
    Resources capacity = cell.kind().capacity();
    for (Map.Entry<Resources, NavigableSet<String>> alike : cell.byAllocation().entrySet()) {
      Resources used = alike.getKey().plus(request.demand());
      if (used.fits(capacity)) {
        double score = profile.score(Use.of(used, capacity), cell.kind());
        if (score >= bestScore) {
          offer(alike.getValue(), score);
        }
      }
    }
  }

  private void offer(Collection<String> ids, double score) {
    for (String id : ids) {
      if (!request.avoid().contains(id)) {
        if (bestId == null || score > bestScore || id.compareTo(bestId) < 0) {
          bestId = id;
          bestScore = score;
        }
        return;
      }
    }
  }
}
