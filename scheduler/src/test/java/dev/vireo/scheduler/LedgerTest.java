package dev.vireo.scheduler;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.scheduler.Ledger.Allocation;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;

final class LedgerTest {
  private final Ledger ledger = new Ledger();

  @Test
  void aMicroVmClaimsOnceHoweverOftenItIsSaid() {
    ledger.reserve("vm", "a", new Resources(1000, 128), 0);
    ledger.reserve("vm", "a", new Resources(1000, 128), 0);

    assertEquals(new Allocation(new Resources(1000, 128), 1), ledger.allocation("a"));
    assertEquals(Optional.of("a"), ledger.nodeOf("vm"));
  }

  @Test
  void aMoveGivesTheOldNodeItsMemoryBack() {
    ledger.reserve("vm", "a", new Resources(1000, 128), 0);
    ledger.reserve("vm", "b", new Resources(2000, 256), 0);

    assertEquals(Allocation.NONE, ledger.allocation("a"));
    assertEquals(new Allocation(new Resources(2000, 256), 1), ledger.allocation("b"));
  }

  @Test
  void whatWasNeverClaimedCannotBeGivenBack() {
    ledger.reserve("vm", "a", new Resources(1000, 128), 0);

    assertTrue(ledger.release("vm"));
    assertFalse(ledger.release("vm"));
    assertEquals(Optional.empty(), ledger.nodeOf("vm"));
    assertEquals(Allocation.NONE, ledger.allocation("a"));
  }

  @Test
  void anAllocationIsAlwaysTheSumOfItsClaims() {
    Map<String, Map.Entry<String, Resources>> model = new HashMap<>();
    Random random = new Random(7);
    for (int step = 0; step < 10_000; step++) {
      String uid = "vm" + random.nextInt(20);
      if (random.nextInt(3) == 0) {
        assertEquals(model.remove(uid) != null, ledger.release(uid));
      } else {
        String node = "node" + random.nextInt(3);
        Resources claim = new Resources(1000L * random.nextInt(8), random.nextInt(1024));
        ledger.reserve(uid, node, claim, 0);
        model.put(uid, Map.entry(node, claim));
      }
      for (int i = 0; i < 3; i++) {
        String node = "node" + i;
        Allocation expected =
            model.values().stream()
                .filter(claim -> claim.getKey().equals(node))
                .map(claim -> new Allocation(claim.getValue(), 1))
                .reduce(
                    Allocation.NONE,
                    (a, b) ->
                        new Allocation(
                            a.resources().plus(b.resources()), a.microVms() + b.microVms()));
        assertEquals(expected, ledger.allocation(node));
      }
    }
  }
}
