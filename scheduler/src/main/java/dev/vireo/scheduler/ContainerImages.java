package dev.vireo.scheduler;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Which nodes have which container images. Beside the index by kind, not in it: what is in its
 * cache would make each node a kind of its own.
 */
final class ContainerImages {
  private final Map<String, Set<String>> byNode = new HashMap<>();

  /** Ids of nodes, in their order. */
  private final Map<String, List<String>> byImage = new HashMap<>();

  /** Makes these the images of a node, whatever they were. */
  void put(String nodeId, Set<String> images) {
    Set<String> before = byNode.getOrDefault(nodeId, Set.of());
    if (before.equals(images)) {
      return;
    }
    byNode.put(nodeId, Set.copyOf(images));
    for (String image : before) {
      if (!images.contains(image)) {
        remove(nodeId, image);
      }
    }
    for (String image : images) {
      if (!before.contains(image)) {
        add(nodeId, image);
      }
    }
  }

  private void add(String nodeId, String image) {
    List<String> nodes = byImage.computeIfAbsent(image, _ -> new ArrayList<>());
    nodes.add(-1 - Collections.binarySearch(nodes, nodeId), nodeId);
  }

  private void remove(String nodeId, String image) {
    byImage.computeIfPresent(
        image,
        (_, nodes) -> {
          nodes.remove(Collections.binarySearch(nodes, nodeId));
          return nodes.isEmpty() ? null : nodes;
        });
  }

  boolean has(String nodeId, String image) {
    return byNode.getOrDefault(nodeId, Set.of()).contains(image);
  }

  /** Ids of the nodes that have an image, in their order. */
  List<String> nodesWith(String image) {
    return Collections.unmodifiableList(byImage.getOrDefault(image, List.of()));
  }
}
