package dev.vireo.scheduler;

import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SortedMap;
import java.util.stream.Collectors;

/**
 * Why a decision is what it is: of all nodes, each one that was refused with its reason.
 *
 * @param nodes how many were looked at
 * @param refusals by node id
 */
public record Explanation(int nodes, SortedMap<String, Refusal> refusals) {
  /**
   * One line for people, the commonest reason first: "0 of 3 nodes: 2 lack memory (need 512 MiB,
   * free 96), 1 is arm64".
   */
  public String summary() {
    if (nodes == 0) {
      return "no node has joined yet";
    }
    String count =
        "%d of %d %s".formatted(nodes - refusals.size(), nodes, nodes == 1 ? "node" : "nodes");
    return refusals.isEmpty() ? count : count + ": " + phrases();
  }

  private String phrases() {
    Map<Object, Group> groups = new LinkedHashMap<>();
    refusals
        .values()
        .forEach(
            refusal -> groups.merge(refusal.group(), new Group(1, refusal), Group::leastBadOf));
    return groups.values().stream()
        .sorted(Comparator.comparingInt(Group::count).reversed())
        .map(group -> group.count + " " + group.refusal.phrase(group.count))
        .collect(Collectors.joining(", "));
  }

  private record Group(int count, Refusal refusal) {
    Group leastBadOf(Group other) {
      return new Group(
          count + other.count,
          other.refusal.headroom() > refusal.headroom() ? other.refusal : refusal);
    }
  }
}
