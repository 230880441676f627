package dev.vireo.scheduler;

import dev.vireo.scheduler.Ledger.Claim;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/**
 * The microVMs that have to leave a node so that it can take one of a higher priority.
 *
 * @param victims their uids, the most important first: none of them can be spared
 */
public record Preemption(String nodeId, List<String> victims) {
  public Preemption {
    victims = List.copyOf(victims);
  }

  /** What one node would have to give up. The better, the less important and the fewer. */
  record Offer(String nodeId, List<Claim> victims) {
    static final Comparator<Offer> BEST_FIRST =
        Comparator.comparingInt(Offer::highestPriority)
            .thenComparingInt(offer -> offer.victims.size())
            .thenComparing(Offer::nodeId);

    private static final Comparator<Claim> MOST_IMPORTANT_FIRST =
        Comparator.comparingInt(Claim::priority).reversed().thenComparing(Claim::uid);

    private int highestPriority() {
      return victims.getFirst().priority();
    }

    /**
     * Of all that are less important, the more important are spared first, as far as there is room.
     *
     * @param claims on the node, of those that are less important
     * @return empty if there would be no room without any of them
     */
    static Optional<Offer> of(
        String nodeId,
        Resources demand,
        Resources allocated,
        Resources capacity,
        List<Claim> claims) {
      Resources needed = allocated.plus(demand);
      for (Claim claim : claims) {
        needed = needed.minus(claim.resources());
      }
      if (!needed.fits(capacity)) {
        return Optional.empty();
      }
      List<Claim> victims = new ArrayList<>();
      for (Claim claim : claims.stream().sorted(MOST_IMPORTANT_FIRST).toList()) {
        Resources spared = needed.plus(claim.resources());
        if (spared.fits(capacity)) {
          needed = spared;
        } else {
          victims.add(claim);
        }
      }
      return victims.isEmpty() ? Optional.empty() : Optional.of(new Offer(nodeId, victims));
    }

    Preemption accepted() {
      return new Preemption(nodeId, victims.stream().map(Claim::uid).toList());
    }
  }
}
