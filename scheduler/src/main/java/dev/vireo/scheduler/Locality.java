package dev.vireo.scheduler;

import java.util.List;
import java.util.Optional;

/**
 * What it is worth to a request that a node has its container image already: the more, the more
 * nodes have it, as kube-scheduler's ImageLocality has it. One node alone with a new image is not
 * swamped, for others get it while they are about as good; where it is on half of the nodes, those
 * take what they can without being much fuller than the rest. Made for one decision.
 *
 * @param worth that is added to a score of 0 to 1
 */
record Locality(ContainerImages images, Optional<Request.ContainerImage> image, double worth) {
  /**
   * If all nodes but one have the image, that one is used when it is emptier by a quarter of a
   * node, no sooner.
   */
  private static final double MOST_WORTH = 0.2;

  /** Comes before any score: the others refuse. */
  private static final double WORTH_IF_NEEDED = 4;

  /** So many of those that have it are looked at, in turn: as good as all, and no longer. */
  static final int MOST_NODES = 16;

  static Locality of(Request request, Cluster cluster) {
    ContainerImages images = cluster.containerImages();
    int nodes =
        request.containerImage().map(image -> images.nodesWith(image.name()).size()).orElse(0);
    if (nodes == 0) {
      return new Locality(images, Optional.empty(), 0);
    }
    boolean needed = request.containerImage().get().needed();
    return new Locality(
        images,
        request.containerImage(),
        needed ? WORTH_IF_NEEDED : MOST_WORTH * nodes / cluster.size());
  }

  /** Whether a node has the image. */
  boolean isAt(String nodeId) {
    return image.isPresent() && images.has(nodeId, image.get().name());
  }

  /** 0 to 1 and monotone, of a score of 0 to 1. */
  double of(double score, NodeKind kind, boolean here) {
    if (worth == 0) {
      return score; // As most often, and this is asked for each node that is looked at.
    }
    return (here ? score + worth(kind) : score) / (1 + worth);
  }

  private double worth(NodeKind kind) {
    boolean needed = image.isPresent() && image.get().needed();
    return needed ? worth : worth * Profile.factor(kind);
  }

  /**
   * Nodes that have the image: all, or evenly taken some, others each turn.
   *
   * @param turn not negative
   */
  List<String> nodes(long turn) {
    List<String> all = image.isPresent() ? images.nodesWith(image.get().name()) : List.of();
    if (all.size() <= MOST_NODES) {
      return all;
    }
    String[] some = new String[MOST_NODES];
    for (int i = 0; i < MOST_NODES; i++) {
      long place = turn + (long) i * all.size() / MOST_NODES;
      some[i] = all.get((int) (place % all.size()));
    }
    return List.of(some);
  }
}
