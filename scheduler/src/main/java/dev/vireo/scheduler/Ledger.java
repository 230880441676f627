package dev.vireo.scheduler;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.TreeMap;

/**
 * What each node has been promised, one claim per microVM: made when a decision is taken, before it
 * is durable, so that two decisions never spend the same memory.
 *
 * <p>Not thread-safe: its owner decides and reserves in one step.
 */
public final class Ledger {
  private final Map<String, Claim> claims = new HashMap<>();
  private final Map<String, Allocation> allocations = new HashMap<>();
  private final Map<String, Map<String, Claim>> byNode = new HashMap<>();

  /** How many claims there are of each priority. */
  private final NavigableMap<Integer, Integer> priorities = new TreeMap<>();

  /**
   * What all microVMs on one node have been promised.
   *
   * @param microVms how many they are
   */
  public record Allocation(Resources resources, int microVms) {
    public static final Allocation NONE = new Allocation(Resources.NONE, 0);
  }

  /**
   * What one microVM has been promised.
   *
   * @param priority its own
   */
  record Claim(String uid, String nodeId, Resources resources, int priority) {}

  /** Claims resources for a microVM, in place of what it claimed before. */
  public void reserve(String uid, String nodeId, Resources resources, int priority) {
    release(uid);
    Claim claim = new Claim(uid, nodeId, resources, priority);
    claims.put(uid, claim);
    byNode.computeIfAbsent(nodeId, _ -> new HashMap<>()).put(uid, claim);
    priorities.merge(priority, 1, Integer::sum);
    allocations.merge(
        nodeId,
        new Allocation(resources, 1),
        (a, b) -> new Allocation(a.resources.plus(b.resources), a.microVms + b.microVms));
  }

  /** Gives back what the microVM claimed, if anything. Returns whether it had a claim. */
  public boolean release(String uid) {
    Claim claim = claims.remove(uid);
    if (claim == null) {
      return false;
    }
    byNode.computeIfPresent(
        claim.nodeId, (_, there) -> there.remove(uid) != null && there.isEmpty() ? null : there);
    priorities.computeIfPresent(claim.priority, (_, count) -> count == 1 ? null : count - 1);
    allocations.computeIfPresent(
        claim.nodeId,
        (_, allocation) ->
            allocation.microVms == 1
                ? null
                : new Allocation(
                    allocation.resources.minus(claim.resources), allocation.microVms - 1));
    return true;
  }

  /** Whether the microVM's claim is this one. */
  boolean has(String uid, String nodeId, Resources resources, int priority) {
    return new Claim(uid, nodeId, resources, priority).equals(claims.get(uid));
  }

  /** The node on which a microVM has a claim. */
  Optional<String> nodeOf(String uid) {
    return Optional.ofNullable(claims.get(uid)).map(Claim::nodeId);
  }

  /** Whether any microVM, anywhere, is of a lower priority. */
  boolean hasBelow(int priority) {
    return !priorities.isEmpty() && priorities.firstKey() < priority;
  }

  /** The claims on a node of those of a lower priority, in no order. */
  List<Claim> below(int priority, String nodeId) {
    return byNode.getOrDefault(nodeId, Map.of()).values().stream()
        .filter(claim -> claim.priority < priority)
        .toList();
  }

  public Allocation allocation(String nodeId) {
    return allocations.getOrDefault(nodeId, Allocation.NONE);
  }
}
