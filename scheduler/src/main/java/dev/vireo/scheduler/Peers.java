package dev.vireo.scheduler;

import dev.vireo.scheduler.Tallies.Subject;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** Which microVMs are where, by their labels, and what they hold against others. */
final class Peers {
  /**
   * How many tallies are kept that decisions have asked for. One that is forgotten is counted anew
   * when it is asked for again, which takes as long as its microVMs are many; and where selectors
   * are many, those of each are few.
   */
  static final int MOST_TALLIES = 512;

  private final Function<String, @Nullable Cell> cells;
  private final int mostTallies;
  private final Map<String, Placed> byUid = new HashMap<>();
  private final Map<Label, Set<String>> byLabel = new HashMap<>();

  /** Of those that decisions have asked for. */
  private final Tallies asked = new Tallies();

  /** Of those that hold {@link PeerRule.Apart} against others: by who these others are. */
  private final Tallies repulsions = new Tallies();

  private record Placed(String nodeId, Peer peer) {}

  /**
   * @param cells what a node is now, if it is known
   * @param mostTallies how many are kept at most, as {@link #MOST_TALLIES}
   */
  Peers(Function<String, @Nullable Cell> cells, int mostTallies) {
    this.cells = cells;
    this.mostTallies = mostTallies;
  }

  /** Whether this is what is known of the microVM. */
  boolean has(String uid, String nodeId, Peer peer) {
    Placed placed = byUid.get(uid);
    return placed == null ? isNobody(peer) : placed.equals(new Placed(nodeId, peer));
  }

  /** Nobody's rules can be about it, and it has none. */
  private static boolean isNobody(Peer peer) {
    return peer.labels().isEmpty() && peer.rules().isEmpty();
  }

  void add(String uid, String nodeId, Peer peer) {
    if (isNobody(peer)) {
      return;
    }
    byUid.put(uid, new Placed(nodeId, peer));
    for (Label label : Label.of(peer.project(), peer.labels())) {
      byLabel.computeIfAbsent(label, _ -> new HashSet<>()).add(uid);
    }
    asked.about(peer).forEach(tally -> tally.add(nodeId));
    for (PeerRule rule : peer.rules()) {
      if (rule instanceof PeerRule.Apart) {
        repulsion(Subject.of(rule)).add(nodeId);
      }
    }
  }

  private Tally repulsion(Subject subject) {
    Tally kept = repulsions.get(subject);
    if (kept != null) {
      return kept;
    }
    Tally tally = new Tally(subject.topology(), cells);
    repulsions.put(subject, rarest(subject.peers()), tally);
    return tally;
  }

  void remove(String uid) {
    Placed placed = byUid.remove(uid);
    if (placed == null) {
      return;
    }
    for (Label label : Label.of(placed.peer.project(), placed.peer.labels())) {
      byLabel.computeIfPresent(
          label, (_, uids) -> uids.remove(uid) && uids.isEmpty() ? null : uids);
    }
    asked.about(placed.peer).forEach(tally -> tally.remove(placed.nodeId));
    for (PeerRule rule : placed.peer.rules()) {
      if (rule instanceof PeerRule.Apart) {
        forget(Subject.of(rule), placed.nodeId);
      }
    }
  }

  private void forget(Subject subject, String nodeId) {
    Tally tally = repulsion(subject);
    tally.remove(nodeId);
    if (tally.isEmpty()) {
      repulsions.remove(subject);
    }
  }

  /** A node has become another kind, or known. */
  void moved(String nodeId, @Nullable Cell from, Cell to) {
    asked.all().forEach(tally -> tally.moved(nodeId, from, to));
    repulsions.all().forEach(tally -> tally.moved(nodeId, from, to));
  }

  /** Where those are that a rule is about. */
  Tally tally(PeerRule rule) {
    Subject subject = Subject.of(rule);
    Tally kept = asked.get(subject);
    if (kept != null) {
      return kept;
    }
    Tally counted = count(subject);
    asked.put(subject, rarest(subject.peers()), counted);
    asked.keep(mostTallies);
    return counted;
  }

  /** How many tallies are kept. */
  int tallies() {
    return asked.size();
  }

  private Tally count(Subject subject) {
    Tally tally = new Tally(subject.topology(), cells);
    for (String uid : byLabel.getOrDefault(rarest(subject.peers()), Set.of())) {
      Placed placed = byUid.get(uid);
      if (placed != null && subject.peers().matches(placed.peer)) {
        tally.add(placed.nodeId);
      }
    }
    return tally;
  }

  private Label rarest(PeerSelector selector) {
    return Label.of(selector.project(), selector.labels()).stream()
        .min(
            Comparator.comparingInt((Label label) -> byLabel.getOrDefault(label, Set.of()).size())
                .thenComparing(Label::key))
        .orElseThrow();
  }

  /** Where those are that hold something against one that comes, by topology. */
  List<Tally> repulsions(Peer peer) {
    List<Tally> against = repulsions.about(peer);
    if (against.size() > 1) {
      against.sort(Comparator.comparing(Tally::topology)); // The first is what is told.
    }
    return against;
  }
}
