package dev.vireo.scheduler;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Which microVMs are where, by their labels, and what they hold against others. */
final class Peers {
  private final Map<String, Placed> byUid = new HashMap<>();
  private final Map<Label, Set<String>> byLabel = new HashMap<>();

  /** Of the nodes where some hold it against others, how many do. */
  private final Map<PeerRule.Apart, Map<String, Integer>> repulsions = new HashMap<>();

  private record Placed(String nodeId, Peer peer) {}

  private record Label(String project, String key, String value) {}

  void add(String uid, String nodeId, Peer peer) {
    if (peer.labels().isEmpty() && peer.rules().isEmpty()) {
      return;
    }
    byUid.put(uid, new Placed(nodeId, peer));
    for (Label label : labels(peer.project(), peer.labels())) {
      byLabel.computeIfAbsent(label, _ -> new HashSet<>()).add(uid);
    }
    for (PeerRule rule : peer.rules()) {
      if (rule instanceof PeerRule.Apart apart) {
        repulsions.computeIfAbsent(apart, _ -> new HashMap<>()).merge(nodeId, 1, Integer::sum);
      }
    }
  }

  void remove(String uid) {
    Placed placed = byUid.remove(uid);
    if (placed == null) {
      return;
    }
    for (Label label : labels(placed.peer.project(), placed.peer.labels())) {
      byLabel.computeIfPresent(
          label, (_, uids) -> uids.remove(uid) && uids.isEmpty() ? null : uids);
    }
    for (PeerRule rule : placed.peer.rules()) {
      if (rule instanceof PeerRule.Apart apart) {
        repulsions.computeIfPresent(apart, (_, nodes) -> without(nodes, placed.nodeId));
      }
    }
  }

  private static @org.jspecify.annotations.Nullable Map<String, Integer> without(
      Map<String, Integer> nodes, String nodeId) {
    nodes.computeIfPresent(nodeId, (_, count) -> count == 1 ? null : count - 1);
    return nodes.isEmpty() ? null : nodes;
  }

  /** Whether a decision can do without looking here. */
  boolean concern(Peer peer) {
    return !peer.rules().isEmpty() || !repulsions.isEmpty();
  }

  /** How many are on each node that has any. As long as the rarest of the labels is common. */
  Map<String, Integer> countByNode(PeerSelector selector) {
    Set<String> rarest =
        labels(selector.project(), selector.labels()).stream()
            .map(label -> byLabel.getOrDefault(label, Set.of()))
            .min(Comparator.comparingInt(Set::size))
            .orElse(Set.of());
    Map<String, Integer> counts = new HashMap<>();
    for (String uid : rarest) {
      Placed placed = byUid.get(uid);
      if (placed != null && selector.matches(placed.peer)) {
        counts.merge(placed.nodeId, 1, Integer::sum);
      }
    }
    return counts;
  }

  /** What is held against one that comes, with the nodes of those that do. */
  Map<PeerRule.Apart, Collection<String>> repulsions(Peer peer) {
    Map<PeerRule.Apart, Collection<String>> against = new HashMap<>();
    repulsions.forEach((rule, nodes) -> {
      if (rule.peers().matches(peer)) {
        against.put(rule, Collections.unmodifiableSet(nodes.keySet()));
      }
    });
    return against;
  }

  private static List<Label> labels(String project, Map<String, String> labels) {
    List<Label> all = new ArrayList<>(labels.size());
    labels.forEach((key, value) -> all.add(new Label(project, key, value)));
    return all;
  }
}
