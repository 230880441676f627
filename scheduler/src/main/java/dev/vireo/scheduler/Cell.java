package dev.vireo.scheduler;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.Objects;
import java.util.TreeSet;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Nodes of one kind whose CPU and memory are in use to parts within bounds: a cell of a quadtree,
 * which has four quarters once it holds too much to be looked through.
 *
 * <p>Nodes that have been promised exactly the same are the same to a request, but for their names.
 */
final class Cell {
  /** A leaf with more different allocations than this is quartered. */
  private static final int MOST_ALLOCATIONS = 16;

  /** Quarters with no more nodes than this in all are one leaf again: fewer, lest it toggle. */
  private static final int FEW_NODES = 8;

  /** How often a cell is quartered at most: further down all nodes are about the same. */
  private static final int DEEPEST = 10;

  /** More than sums and quotients of what is between 0 and 1 can be off by. */
  private static final double ROUNDING = 1e-9;

  private final NodeKind kind;
  private final int depth;
  private final Use least;
  private final Use most;

  /** Of a leaf: ids in their order, by what has been promised. */
  private final Map<Resources, NavigableSet<String>> byAllocation = new HashMap<>();

  /** Of a leaf none; else first those of little memory in use, and of them that of little CPU. */
  private List<Cell> quarters = List.of();

  private int nodes;

  /** All use there can be. */
  Cell(NodeKind kind) {
    this(kind, 0, new Use(0, 0), new Use(1, 1));
  }

  private Cell(NodeKind kind, int depth, Use least, Use most) {
    this.kind = kind;
    this.depth = depth;
    this.least = least;
    this.most = most;
  }

  NodeKind kind() {
    return kind;
  }

  /** How many nodes are in it. */
  int nodes() {
    return nodes;
  }

  List<Cell> quarters() {
    return quarters;
  }

  /** Of a cell without quarters. */
  Map<Resources, NavigableSet<String>> byAllocation() {
    return byAllocation;
  }

  void add(String id, Resources allocated) {
    nodes++;
    if (!quarters.isEmpty()) {
      quarterOf(allocated).add(id, allocated);
      return;
    }
    byAllocation.computeIfAbsent(allocated, _ -> new TreeSet<>()).add(id);
    if (byAllocation.size() > MOST_ALLOCATIONS && depth < DEEPEST) {
      quarter();
    }
  }

  /** Takes out a node that was added with this allocation. */
  void remove(String id, Resources allocated) {
    nodes--;
    if (quarters.isEmpty()) {
      NavigableSet<String> alike = byAllocation.get(allocated);
      if (alike != null && alike.remove(id) && alike.isEmpty()) {
        byAllocation.remove(allocated);
      }
      return;
    }
    quarterOf(allocated).remove(id, allocated);
    if (nodes <= FEW_NODES) {
      unite();
    }
  }

  private void quarter() {
    Use middle = middle();
    quarters =
        List.of(
            new Cell(kind, depth + 1, least, middle),
            new Cell(
                kind,
                depth + 1,
                new Use(middle.cpu(), least.memory()),
                new Use(most.cpu(), middle.memory())),
            new Cell(
                kind,
                depth + 1,
                new Use(least.cpu(), middle.memory()),
                new Use(middle.cpu(), most.memory())),
            new Cell(kind, depth + 1, middle, most));
    byAllocation.forEach(
        (allocated, ids) -> ids.forEach(id -> quarterOf(allocated).add(id, allocated)));
    byAllocation.clear();
  }

  private void unite() {
    forEachAllocation((allocated, ids) ->
        byAllocation.computeIfAbsent(allocated, _ -> new TreeSet<>()).addAll(ids));
    quarters = List.of();
  }

  private Cell quarterOf(Resources allocated) {
    Use use = Use.of(allocated, kind.capacity());
    Use middle = middle();
    return quarters.get(
        (use.cpu() < middle.cpu() ? 0 : 1) + (use.memory() < middle.memory() ? 0 : 2));
  }

  private Use middle() {
    return new Use((least.cpu() + most.cpu()) / 2, (least.memory() + most.memory()) / 2);
  }

  /** The first by id, of one that has nodes. */
  String first() {
    @Nullable String first = null;
    for (NavigableSet<String> ids : byAllocation.values()) {
      if (first == null || ids.first().compareTo(first) < 0) {
        first = ids.first();
      }
    }
    for (Cell quarter : quarters) {
      if (quarter.nodes > 0 && (first == null || quarter.first().compareTo(first) < 0)) {
        first = quarter.first();
      }
    }
    return Objects.requireNonNull(first, "a cell without nodes has no first");
  }

  /** All that is in it, by what has been promised. */
  void forEachAllocation(BiConsumer<Resources, NavigableSet<String>> consumer) {
    byAllocation.forEach(consumer);
    quarters.forEach(quarter -> quarter.forEachAllocation(consumer));
  }

  /**
   * No node here can have a better score; negative if none has the room.
   *
   * @param demand the part of a node of this kind that is asked for
   */
  double bound(Profile profile, Use demand) {
    if (nodes == 0
        || least.cpu() + demand.cpu() > 1 + ROUNDING
        || least.memory() + demand.memory() > 1 + ROUNDING) {
      return -1;
    }
    return profile.bestScore(least.plus(demand), most.plus(demand), kind) + ROUNDING;
  }
}
