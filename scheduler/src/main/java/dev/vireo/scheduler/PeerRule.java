package dev.vireo.scheduler;

/** What a microVM wants of where others are. */
public sealed interface PeerRule {
  /**
   * The topology of which each node is a domain of its own. Any other is a label of nodes, of which
   * each value is a domain.
   */
  String NODE = "node";

  PeerSelector peers();

  /** A node's label, or {@link #NODE}. */
  String topology();

  /**
   * In a domain that has one of the peers. Anywhere, if there is none and this would be the first.
   */
  record Near(PeerSelector peers, String topology) implements PeerRule {}

  /** In no domain that has one of the peers; nor may they come into this one's. */
  record Apart(PeerSelector peers, String topology) implements PeerRule {}

  /**
   * So that no domain has more than so many peers more than the one that has the fewest. Domains
   * are those of the nodes that could take the microVM but for want of room and other microVMs.
   *
   * @param maxSkew at least 1
   */
  record Spread(PeerSelector peers, String topology, int maxSkew) implements PeerRule {}
}
