package dev.vireo.scheduler;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * What each node has been promised, one claim per microVM: made when a decision is taken, before it
 * is durable, so that two decisions never spend the same memory.
 *
 * <p>Not thread-safe: its owner decides and reserves in one step.
 */
public final class Ledger {
  private final Map<String, Claim> claims = new HashMap<>();
  private final Map<String, Allocation> allocations = new HashMap<>();

  /**
   * What all microVMs on one node have been promised.
   *
   * @param microVms how many they are
   */
  public record Allocation(Resources resources, int microVms) {
    public static final Allocation NONE = new Allocation(Resources.NONE, 0);
  }

  private record Claim(String nodeId, Resources resources) {}

  /** Claims resources for a microVM, in place of what it claimed before. */
  public void reserve(String uid, String nodeId, Resources resources) {
    release(uid);
    claims.put(uid, new Claim(nodeId, resources));
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
    allocations.computeIfPresent(
        claim.nodeId,
        (_, allocation) ->
            allocation.microVms == 1
                ? null
                : new Allocation(
                    allocation.resources.minus(claim.resources), allocation.microVms - 1));
    return true;
  }

  /** The node on which a microVM has a claim. */
  Optional<String> nodeOf(String uid) {
    return Optional.ofNullable(claims.get(uid)).map(Claim::nodeId);
  }

  public Allocation allocation(String nodeId) {
    return allocations.getOrDefault(nodeId, Allocation.NONE);
  }
}
