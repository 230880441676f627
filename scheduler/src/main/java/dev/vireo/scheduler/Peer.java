package dev.vireo.scheduler;

import java.util.List;
import java.util.Map;

/**
 * What a microVM is to others.
 *
 * @param labels its own, by which others' rules find it
 * @param priority those of a higher one may have it leave its node
 * @param rules its own, of which it holds {@link PeerRule.Apart} against all that come later
 */
public record Peer(String project, Map<String, String> labels, int priority, List<PeerRule> rules) {
  /** One that nobody's rules are about, of priority 0. */
  public static final Peer NONE = new Peer("", Map.of(), 0, List.of());

  public Peer {
    labels = Map.copyOf(labels);
    rules = List.copyOf(rules);
  }
}
