package dev.vireo.scheduler;

import static dev.vireo.scheduler.Nodes.allocated;
import static dev.vireo.scheduler.Nodes.arm64;
import static dev.vireo.scheduler.Nodes.cordoned;
import static dev.vireo.scheduler.Nodes.debian;
import static dev.vireo.scheduler.Nodes.emulated;
import static dev.vireo.scheduler.Nodes.node;
import static dev.vireo.scheduler.Nodes.notReady;
import static dev.vireo.scheduler.Nodes.pvm;
import static dev.vireo.scheduler.Nodes.request;
import static dev.vireo.scheduler.Nodes.withBackEnds;
import static dev.vireo.scheduler.Nodes.withImages;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.scheduler.Request.Kernel;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

final class SchedulerTest {
  private final Scheduler spread = Scheduler.standard(Profile.LEAST_ALLOCATED);
  private final Scheduler pack = Scheduler.standard(Profile.BIN_PACK);

  @Test
  void everyRefusedNodeHasAReasonAndTheSumSaysItInOneLine() {
    List<Node> nodes =
        List.of(
            allocated(node("a", 4, 1024), 1, 928),
            arm64(node("b", 4, 1024)),
            allocated(node("c", 4, 512), 1, 500));

    Decision decision = spread.place(debian(1, 512), nodes);

    assertEquals(
        "0 of 3 nodes: 2 lack memory (need 512 MiB, free 96), 1 is arm64",
        decision.explanation().summary());
    assertEquals(Set.of("a", "b", "c"), decision.explanation().refusals().keySet());
    assertEquals(new Refusal.LacksMemory(512, 12), decision.explanation().refusals().get("c"));
  }

  @Test
  void withoutNodesItSaysSo() {
    assertEquals("no node has joined yet", refusal(debian(1, 64)));
  }

  @Test
  void eachFilterRefusesInItsOwnWords() {
    Node node = node("a", 2, 1024);

    assertEquals("0 of 1 node: 1 is not ready", refusal(debian(1, 64), notReady(node)));
    assertEquals("0 of 1 node: 1 is cordoned", refusal(debian(1, 64), cordoned(node)));
    assertEquals("0 of 1 node: 1 is arm64", refusal(debian(1, 64), arm64(node)));
    assertEquals(
        "0 of 1 node: 1 lacks image debian-12",
        refusal(debian(1, 64), withImages(node, Nodes.PROBE)));
    assertEquals(
        "0 of 1 node: 1 lacks back end blk/file", refusal(debian(1, 64), withBackEnds(node)));
    assertEquals(
        "0 of 1 node: 1 has too few vCPUs for one microVM (need 65, at most 64)",
        refusal(debian(65, 64), node));
    assertEquals(
        "0 of 1 node: 1 lacks CPU (need 2, free 1)", refusal(debian(2, 64), allocated(node, 1, 0)));
    assertEquals(
        "0 of 1 node: 1 is not labelled zone=b",
        refusal(
            request(Optional.empty(), 1, 64, new Kernel.FromImage("probe"), Map.of("zone", "b")),
            node));
    assertEquals(
        "0 of 1 node: 1 has just refused it",
        refusal(with(debian(1, 64), Optional.empty(), Set.of("a")), node));
    assertEquals(
        "0 of 1 node: 1 lacks announcement cmdline",
        refusal(with(debian(1, 64), Optional.of("cmdline"), Set.of()), node));
  }

  @Test
  void aLinuxImageNeedsANodeThatRunsLinuxGuestsABareMetalOneDoesNot() {
    Node node = pvm(node("a", 2, 1024));

    assertTrue(refusal(debian(1, 64), node).startsWith("0 of 1 node: 1 cannot boot Linux guests"));
    assertEquals(
        "a",
        placed(
            spread,
            request(Optional.empty(), 1, 64, new Kernel.FromImage("probe"), Map.of()),
            node));
  }

  @Test
  void anImageOfAnotherArchitectureThanItsNodeIsNoUse() {
    Image foreign = new Image("debian-12", "arm64", true, Set.of("fdt"));
    Request anyArchitecture =
        request(Optional.empty(), 1, 64, new Kernel.FromImage("debian-12"), Map.of());

    assertEquals(
        "0 of 1 node: 1 has image debian-12 for arm64 only",
        refusal(anyArchitecture, withImages(node("a", 2, 1024), foreign)));
    assertEquals(
        "b",
        placed(
            spread,
            anyArchitecture,
            withImages(node("a", 2, 1024), foreign),
            arm64(withImages(node("b", 2, 1024), foreign))));
  }

  @Test
  void ofAFileOnlyTheNodeCanTell() {
    Request file = request(Optional.empty(), 1, 64, new Kernel.FromFile("/boot/vmlinuz"), Map.of());

    assertEquals("a", placed(spread, file, withImages(node("a", 2, 1024))));
  }

  @Test
  void leastAllocatedSpreadsAndBinPackFills() {
    Node empty = node("empty", 4, 4096);
    Node half = allocated(node("half", 4, 4096), 2, 2048);

    assertEquals("empty", placed(spread, debian(1, 512), half, empty));
    assertEquals("half", placed(pack, debian(1, 512), empty, half));
  }

  @Test
  void evenUseOfCpuAndMemoryBreaksTheTie() {
    Node memoryHeavy = allocated(node("a", 4, 4096), 0, 2048);
    Node cpuHeavy = allocated(node("b", 4, 4096), 2, 0);

    assertEquals("b", placed(spread, debian(1, 2048), memoryHeavy, cpuHeavy));
    assertEquals("a", placed(spread, debian(3, 128), memoryHeavy, cpuHeavy));
  }

  @Test
  void anEmulatedNodeIsTheLastResort() {
    Node full = allocated(node("z", 4, 4096), 3, 3072);

    assertEquals("z", placed(spread, debian(1, 512), emulated(node("a", 4, 4096)), full));
    assertEquals("a", placed(spread, debian(2, 512), emulated(node("a", 4, 4096)), full));
  }

  @Test
  void equalsGoByIdWhateverTheirOrder() {
    List<Node> nodes =
        new ArrayList<>(List.of(node("c", 4, 64), node("a", 4, 64), node("b", 4, 64)));
    Random random = new Random(1);
    for (int i = 0; i < 20; i++) {
      Collections.shuffle(nodes, random);
      assertEquals("a", placed(spread, debian(1, 64), nodes.toArray(Node[]::new)));
    }
  }

  /** Over many random clusters: a decision names exactly the nodes it should, and is repeatable. */
  @Test
  void aDecisionIsRightForAnyCluster() {
    Random random = new Random(42);
    for (int round = 0; round < 2_000; round++) {
      List<Node> nodes = randomNodes(random);
      Request request = debian(1 + random.nextInt(4), 64L * (1 + random.nextInt(16)));
      Decision decision = spread.place(request, nodes);

      for (Node node : nodes) {
        assertEquals(
            !canTake(request, node),
            decision.explanation().refusals().containsKey(node.id()),
            () -> node + " for " + request);
      }
      switch (decision) {
        case Decision.Placed placed -> {
          assertTrue(
              nodes.stream().anyMatch(n -> n.id().equals(placed.nodeId()) && canTake(request, n)));
          assertTrue(placed.score() >= 0 && placed.score() <= 1, () -> "score " + placed.score());
        }
        case Decision.Unplaceable _ ->
            assertTrue(nodes.stream().noneMatch(n -> canTake(request, n)));
      }
      Collections.shuffle(nodes, random);
      assertEquals(decision, spread.place(request, nodes));
    }
  }

  private static List<Node> randomNodes(Random random) {
    List<Node> nodes = new ArrayList<>();
    int count = random.nextInt(8);
    for (int i = 0; i < count; i++) {
      Node node = allocated(node("n" + i, 4, 1024), random.nextInt(5), 64L * random.nextInt(17));
      nodes.add(
          switch (random.nextInt(8)) {
            case 0 -> arm64(node);
            case 1 -> notReady(node);
            case 2 -> cordoned(node);
            case 3 -> pvm(node);
            case 4 -> emulated(node);
            default -> node;
          });
    }
    return nodes;
  }

  /** The rules again, said another way. */
  private static boolean canTake(Request request, Node node) {
    return node.ready()
        && !node.cordoned()
        && node.runsLinuxGuests()
        && node.architecture().equals("x86_64")
        && node.allocated().cpuMilli() + request.vcpus() * 1000L <= node.capacity().cpuMilli()
        && node.allocated().memoryMib() + request.memoryMib() <= node.capacity().memoryMib();
  }

  private String refusal(Request request, Node... nodes) {
    return assertInstanceOf(Decision.Unplaceable.class, spread.place(request, List.of(nodes)))
        .explanation()
        .summary();
  }

  private static String placed(Scheduler scheduler, Request request, Node... nodes) {
    return assertInstanceOf(Decision.Placed.class, scheduler.place(request, List.of(nodes)))
        .nodeId();
  }

  private static Request with(Request r, Optional<String> announcement, Set<String> avoid) {
    return new Request(
        r.architecture(),
        r.vcpus(),
        r.memoryMib(),
        r.kernel(),
        announcement,
        r.backEnds(),
        r.nodeSelector(),
        avoid);
  }
}
