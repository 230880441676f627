package dev.vireo.scheduler;

import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * How many microVMs of some sort are in each domain of a topology; kept as they come and go and as
 * nodes change, so that nobody has to count them.
 */
final class Tally {
  private final String topology;
  private final Function<String, @Nullable Cell> cells;
  private final Map<String, Integer> byNode = new HashMap<>();

  /** Of a topology by a label. */
  private final Map<String, Integer> byDomain = new HashMap<>();

  /** Of the topology of nodes: the known nodes that have any, by their kind. */
  private final Map<Cell, Levels> levels = new HashMap<>();

  /** How many nodes of one kind have how many, of those that have any. */
  private static final class Levels {
    private final NavigableMap<Integer, Integer> nodesByCount = new TreeMap<>();
    private int nodes;

    void change(int before, int after) {
      if (before > 0) {
        nodes--;
        nodesByCount.merge(before, -1, Tally::sum);
      }
      if (after > 0) {
        nodes++;
        nodesByCount.merge(after, 1, Tally::sum);
      }
    }

    /** Of all nodes of the kind. */
    int fewest(Cell kind) {
      return nodes < kind.nodes() ? 0 : nodesByCount.firstKey();
    }
  }

  /**
   * @param topology a node's label, or {@link PeerRule#NODE}
   * @param cells what a node is now, if it is known
   */
  Tally(String topology, Function<String, @Nullable Cell> cells) {
    this.topology = topology;
    this.cells = cells;
  }

  String topology() {
    return topology;
  }

  void add(String nodeId) {
    change(nodeId, 1);
  }

  void remove(String nodeId) {
    change(nodeId, -1);
  }

  private void change(String nodeId, int by) {
    int before = byNode.getOrDefault(nodeId, 0);
    byNode.merge(nodeId, by, Tally::sum);
    Cell cell = cells.apply(nodeId);
    if (cell != null) {
      change(cell, before, before + by);
    }
  }

  /** A node has become another kind, or known. */
  void moved(String nodeId, @Nullable Cell from, Cell to) {
    int count = byNode.getOrDefault(nodeId, 0);
    if (count == 0) {
      return;
    }
    if (from != null) {
      change(from, count, 0);
    }
    change(to, 0, count);
  }

  /** Of a node of this kind. */
  private void change(Cell kind, int before, int after) {
    if (topology.equals(PeerRule.NODE)) {
      Levels of = levels.computeIfAbsent(kind, _ -> new Levels());
      of.change(before, after);
      if (of.nodes == 0) {
        levels.remove(kind);
      }
      return;
    }
    String domain = kind.kind().labels().get(topology);
    if (domain != null) {
      byDomain.merge(domain, after - before, Tally::sum);
    }
  }

  /** What is nought is not kept. */
  private static @Nullable Integer sum(int count, int change) {
    return count + change == 0 ? null : Integer.valueOf(count + change);
  }

  /** Whether there is none, on nodes that nobody knows neither. */
  boolean isEmpty() {
    return byNode.isEmpty();
  }

  int in(String domain) {
    return domains().getOrDefault(domain, 0);
  }

  /** The domains that have any. */
  Set<String> inhabited() {
    return Collections.unmodifiableSet(domains().keySet());
  }

  private Map<String, Integer> domains() {
    return topology.equals(PeerRule.NODE) ? byNode : byDomain;
  }

  /**
   * Of the topology of nodes: the fewest that a node of these kinds has.
   *
   * @param kinds all nodes of each
   */
  int fewest(Collection<Cell> kinds) {
    int fewest = Integer.MAX_VALUE;
    for (Cell kind : kinds) {
      Levels of = levels.get(kind);
      fewest = Math.min(fewest, of == null ? 0 : of.fewest(kind));
    }
    return kinds.isEmpty() ? 0 : fewest;
  }
}
