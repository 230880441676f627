package dev.vireo.scheduler;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Tallies by what they are about, found also by a microVM that they are about: each is filed under
 * one label of its selector.
 */
final class Tallies {
  private final Map<Subject, Filed> bySubject = new LinkedHashMap<>(16, 0.75f, true);
  private final Map<Label, Map<Subject, Tally>> byLabel = new HashMap<>();

  /** The microVMs that a rule is about, in domains of this topology. */
  record Subject(PeerSelector peers, String topology) {
    static Subject of(PeerRule rule) {
      return new Subject(rule.peers(), rule.topology());
    }
  }

  private record Filed(Label label, Tally tally) {}

  /** The tally, if it is kept. It is now the one that was asked for last. */
  @Nullable Tally get(Subject subject) {
    Filed filed = bySubject.get(subject);
    return filed == null ? null : filed.tally;
  }

  /**
   * Keeps a tally.
   *
   * @param label of the subject's selector; best the one that the fewest microVMs have
   */
  void put(Subject subject, Label label, Tally tally) {
    bySubject.put(subject, new Filed(label, tally));
    byLabel.computeIfAbsent(label, _ -> new HashMap<>()).put(subject, tally);
  }

  void remove(Subject subject) {
    Filed filed = bySubject.remove(subject);
    if (filed != null) {
      byLabel.computeIfPresent(
          filed.label,
          (_, tallies) -> tallies.remove(subject) != null && tallies.isEmpty() ? null : tallies);
    }
  }

  /** Forgets those that were asked for the longest ago, until this many are left. */
  void keep(int most) {
    while (bySubject.size() > most) {
      remove(bySubject.keySet().iterator().next());
    }
  }

  boolean isEmpty() {
    return bySubject.isEmpty();
  }

  int size() {
    return bySubject.size();
  }

  Collection<Tally> all() {
    return Collections.unmodifiableCollection(
        bySubject.values().stream().map(Filed::tally).toList());
  }

  /** Those that this microVM is counted in. */
  List<Tally> about(Peer peer) {
    List<Tally> about = new ArrayList<>();
    if (isEmpty()) {
      return about;
    }
    for (Label label : Label.of(peer.project(), peer.labels())) {
      byLabel
          .getOrDefault(label, Map.of())
          .forEach((subject, tally) -> {
            if (subject.peers().matches(peer)) {
              about.add(tally);
            }
          });
    }
    return about;
  }
}
