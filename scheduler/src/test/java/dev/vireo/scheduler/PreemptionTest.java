package dev.vireo.scheduler;

import static dev.vireo.scheduler.Nodes.cordoned;
import static dev.vireo.scheduler.Nodes.debian;
import static dev.vireo.scheduler.Nodes.node;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Who has to leave for whom; and gangs, that go together or not at all. */
final class PreemptionTest {
  private final Scheduler scheduler = Scheduler.standard(Profile.BIN_PACK);
  private final Cluster cluster = new Cluster();

  @Test
  void theLeastImportantLeaveAndNoMoreThanMust() {
    cluster.put("a", node("a", 8, 1024).kind());
    run("low", 1, 512);
    run("lower", 0, 256);
    run("high", 9, 256);

    assertEquals(preemption("a", "lower"), scheduler.preempt(request(5, 256), cluster));
    assertEquals(preemption("a", "low"), scheduler.preempt(request(5, 512), cluster));
    assertEquals(preemption("a", "low", "lower"), scheduler.preempt(request(5, 768), cluster));
    assertEquals(Optional.empty(), scheduler.preempt(request(5, 1024), cluster));
  }

  @Test
  void nobodyLeavesForOneThatIsNoMoreImportant() {
    cluster.put("a", node("a", 8, 1024).kind());
    run("vm", 5, 1024);

    assertEquals(Optional.empty(), scheduler.preempt(request(5, 64), cluster));
    assertEquals(preemption("a", "vm"), scheduler.preempt(request(6, 64), cluster));
  }

  @Test
  void nobodyLeavesANodeThatWouldNotTakeItAnyway() {
    cluster.put("a", cordoned(node("a", 8, 1024)).kind());
    run("vm", 0, 1024);

    assertEquals(Optional.empty(), scheduler.preempt(request(5, 64), cluster));
  }

  private record Vm(String uid, String nodeId, long memoryMib, int priority) {}

  /** Over many random clusters: no other set of victims would be better. */
  @Test
  void noOtherVictimsWouldMatterLess() {
    Random random = new Random(3);
    int found = 0;
    for (int round = 0; round < 1_000; round++) {
      Cluster made = new Cluster();
      List<Vm> vms = new ArrayList<>();
      int nodes = 1 + random.nextInt(4);
      for (int i = 0; i < nodes; i++) {
        made.put("n" + i, node("n" + i, 64, 512).kind());
        int count = random.nextInt(7);
        for (int j = 0; j < count; j++) {
          vms.add(new Vm("vm" + i + j, "n" + i, 32L * (1 + random.nextInt(6)), random.nextInt(6)));
        }
      }
      vms.forEach(vm -> reserve(made, vm.uid, vm.nodeId, vm.priority, vm.memoryMib));
      Request request = request(random.nextInt(7), 32L * (1 + random.nextInt(16)));
      if (scheduler.place(request, made) instanceof Decision.Placed) {
        continue;
      }

      Optional<Preemption> preemption = scheduler.preempt(request, made);

      OptionalInt best =
          java.util.stream.IntStream.range(0, nodes)
              .mapToObj(i -> vms.stream().filter(vm -> vm.nodeId.equals("n" + i)).toList())
              .flatMapToInt(there -> lowestHighestPriority(request, there).stream())
              .min();
      assertEquals(best.isPresent(), preemption.isPresent());
      if (preemption.isEmpty()) {
        continue;
      }
      found++;
      List<Vm> victims =
          vms.stream().filter(vm -> preemption.get().victims().contains(vm.uid)).toList();
      assertEquals(best.getAsInt(), victims.stream().mapToInt(Vm::priority).max().orElseThrow());
      victims.forEach(vm -> assertTrue(vm.priority < request.peer().priority()));
      victims.forEach(vm -> assertEquals(preemption.get().nodeId(), vm.nodeId));
      victims.forEach(vm -> made.release(vm.uid));
      assertInstanceOf(Decision.Placed.class, scheduler.place(request, made));
      for (Vm spared : victims) {
        reserve(made, spared.uid, spared.nodeId, spared.priority, spared.memoryMib);
        assertInstanceOf(Decision.Unplaceable.class, scheduler.place(request, made));
        made.release(spared.uid);
      }
    }
    assertTrue(found > 100, "only " + found);
  }

  /** Of all sets that would do, by trying them all. */
  private static OptionalInt lowestHighestPriority(Request request, List<Vm> there) {
    OptionalInt best = OptionalInt.empty();
    long used = there.stream().mapToLong(Vm::memoryMib).sum();
    for (int set = 1; set < 1 << there.size(); set++) {
      long freed = 0;
      int highest = 0;
      for (int i = 0; i < there.size(); i++) {
        if ((set >> i & 1) == 1) {
          freed += there.get(i).memoryMib;
          highest = Math.max(highest, there.get(i).priority);
        }
      }
      if (used - freed + request.memoryMib() <= 512
          && highest < request.peer().priority()
          && (best.isEmpty() || highest < best.getAsInt())) {
        best = OptionalInt.of(highest);
      }
    }
    return best;
  }

  @Test
  void aGangIsPlacedWholeOrNotAtAll() {
    cluster.put("a", node("a", 8, 1024).kind());
    cluster.put("b", node("b", 8, 512).kind());
    Map<String, Request> gang = new HashMap<>();
    gang.put("1", request(0, 512));
    gang.put("2", request(0, 512));
    gang.put("3", request(0, 512));

    assertEquals(
        new Together.Placed(Map.of("1", "b", "2", "a", "3", "a")),
        scheduler.placeTogether(gang, cluster));
    assertEquals(Optional.of(new Resources(6000, 0)), cluster.free("a"));
    gang.keySet().forEach(cluster::release);

    gang.put("4", request(0, 64));
    Together.Unplaceable none =
        assertInstanceOf(Together.Unplaceable.class, scheduler.placeTogether(gang, cluster));
    assertEquals("4", none.uid());
    assertEquals(Optional.of(new Resources(8000, 1024)), cluster.free("a"));
    assertEquals(Optional.of(new Resources(8000, 512)), cluster.free("b"));
    assertFalse(cluster.ledger().hasBelow(1));
  }

  private static Optional<Preemption> preemption(String nodeId, String... victims) {
    return Optional.of(new Preemption(nodeId, List.of(victims)));
  }

  private static Request request(int priority, long memoryMib) {
    return debian(1, memoryMib, NodeRules.NONE, new Peer("p", Map.of(), priority, List.of()));
  }

  private void run(String uid, int priority, long memoryMib) {
    reserve(cluster, uid, "a", priority, memoryMib);
  }

  private static void reserve(
      Cluster cluster, String uid, String nodeId, int priority, long memoryMib) {
    cluster.reserve(
        uid, nodeId, new Resources(0, memoryMib), new Peer("p", Map.of(), priority, List.of()));
  }
}
