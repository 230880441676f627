package dev.vireo.scheduler;

import static dev.vireo.scheduler.Nodes.allocated;
import static dev.vireo.scheduler.Nodes.arm64;
import static dev.vireo.scheduler.Nodes.cluster;
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

import dev.vireo.scheduler.Nodes.Node;
import dev.vireo.scheduler.Request.Kernel;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
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

    assertEquals(
        "0 of 3 nodes: 2 lack memory (need 512 MiB, free 96), 1 is arm64",
        refusal(debian(1, 512), nodes.toArray(Node[]::new)));
  }

  @Test
  void ofThoseThatCouldTakeItTheExplanationSaysHowManyTheyAre() {
    List<Node> nodes = List.of(node("a", 4, 1024), arm64(node("b", 4, 1024)), node("c", 4, 64));

    Explanation explanation = spread.explain(debian(1, 512), cluster(nodes));

    assertEquals(1, explanation.suitable());
    assertEquals(
        "1 of 3 nodes: 1 is arm64, 1 lacks memory (need 512 MiB, free 64)", explanation.summary());
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

  /** Over many random clusters: the index finds what a look at every node finds. */
  @Test
  void aDecisionIsThatOfAScan() {
    Random random = new Random(42);
    for (int round = 0; round < 1_000; round++) {
      List<Node> nodes = randomNodes(random);
      Request asked = debian(1 + random.nextInt(4), 64L * (1 + random.nextInt(16)));
      Set<String> avoid = random.nextInt(4) == 0 ? Set.of("n0", "n3", "unheard of") : Set.of();
      Request request = with(asked, Optional.empty(), avoid);
      for (Profile profile : Profile.values()) {
        Collections.shuffle(nodes, random);
        Decision decision = Scheduler.standard(profile).place(request, cluster(nodes));
        assertEquals(scan(profile, request, nodes), decision, () -> nodes + " for " + request);
      }
      assertEquals(
          nodes.stream().filter(node -> canTake(request, node)).count(),
          spread.explain(request, cluster(nodes)).suitable());
    }
  }

  /** The rules again, said another way. */
  private Decision scan(Profile profile, Request request, List<Node> nodes) {
    return nodes.stream()
        .filter(node -> canTake(request, node))
        .map(node -> new Decision.Placed(node.id(), score(profile, request, node)))
        .min(
            Comparator.comparingDouble(Decision.Placed::score)
                .reversed()
                .thenComparing(Decision.Placed::nodeId))
        .<Decision>map(placed -> placed)
        .orElseGet(() -> new Decision.Unplaceable(spread.explain(request, cluster(nodes))));
  }

  private static double score(Profile profile, Request request, Node node) {
    Resources used = node.allocated().plus(request.demand());
    return profile.score(Use.of(used, node.kind().capacity()), node.kind());
  }

  private static List<Node> randomNodes(Random random) {
    List<Node> nodes = new ArrayList<>();
    int count = random.nextInt(random.nextInt(4) == 0 ? 300 : 20);
    // Of some clusters the CPUs are used up and the memory is not, or the other way round.
    int mostCpus = 1 + random.nextInt(5);
    int mostMemory = 1 + random.nextInt(34);
    for (int i = 0; i < count; i++) {
      long memory = random.nextBoolean() ? 1024 : 1000 + random.nextInt(3);
      Node node =
          allocated(
              node("n" + i, 4, memory), random.nextInt(mostCpus), 32L * random.nextInt(mostMemory));
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

  private static boolean canTake(Request request, Node node) {
    NodeKind kind = node.kind();
    return kind.ready()
        && !kind.cordoned()
        && kind.runsLinuxGuests()
        && kind.architecture().equals("x86_64")
        && !request.avoid().contains(node.id())
        && node.allocated().cpuMilli() + request.vcpus() * 1000L <= kind.capacity().cpuMilli()
        && node.allocated().memoryMib() + request.memoryMib() <= kind.capacity().memoryMib();
  }

  private String refusal(Request request, Node... nodes) {
    return assertInstanceOf(
            Decision.Unplaceable.class, spread.place(request, cluster(List.of(nodes))))
        .explanation()
        .summary();
  }

  private static String placed(Scheduler scheduler, Request request, Node... nodes) {
    return assertInstanceOf(
            Decision.Placed.class, scheduler.place(request, cluster(List.of(nodes))))
        .nodeId();
  }

  private static Request with(Request r, Optional<String> announcement, Set<String> avoid) {
    return new Request(
        r.architecture(),
        r.vcpus(),
        r.memoryMib(),
        r.kernel(),
        announcement,
        r.containerImage(),
        r.backEnds(),
        r.nodeRules(),
        r.peer(),
        avoid);
  }
}
