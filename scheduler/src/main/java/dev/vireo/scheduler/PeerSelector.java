package dev.vireo.scheduler;

import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * Which microVMs a rule is about.
 *
 * @param project theirs: other projects' are nobody's neighbours
 * @param labels that they have, all of them; at least one
 */
public record PeerSelector(String project, Map<String, String> labels) {
  public PeerSelector {
    labels = Map.copyOf(labels);
    if (labels.isEmpty()) {
      throw new IllegalArgumentException("a selector without labels would be about every microVM");
    }
  }

  boolean matches(Peer peer) {
    return project.equals(peer.project())
        && peer.labels().entrySet().containsAll(labels.entrySet());
  }

  /** As people write it: "app=web,tier=1". */
  @Override
  public String toString() {
    return new TreeMap<>(labels)
        .entrySet().stream()
            .map(label -> label.getKey() + "=" + label.getValue())
            .collect(Collectors.joining(","));
  }
}
