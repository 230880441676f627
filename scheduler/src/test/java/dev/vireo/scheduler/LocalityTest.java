package dev.vireo.scheduler;

import static dev.vireo.scheduler.Nodes.allocated;
import static dev.vireo.scheduler.Nodes.cluster;
import static dev.vireo.scheduler.Nodes.cordoned;
import static dev.vireo.scheduler.Nodes.debian;
import static dev.vireo.scheduler.Nodes.emulated;
import static dev.vireo.scheduler.Nodes.labelled;
import static dev.vireo.scheduler.Nodes.node;
import static dev.vireo.scheduler.Nodes.running;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.scheduler.Nodes.Node;
import dev.vireo.scheduler.Request.ContainerImage;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** A microVM goes to a node that has its container image, unless that costs too much. */
final class LocalityTest {
  private static final ContainerImage TOOL = new ContainerImage("tool", false);
  private static final ContainerImage TOOL_NOT_PULLED = new ContainerImage("tool", true);

  private final Scheduler spread = Scheduler.standard(Profile.LEAST_ALLOCATED);
  private final Scheduler pack = Scheduler.standard(Profile.BIN_PACK);
  private int placements;

  // ---- a few nodes

  @Test
  void ofNodesThatAreAboutAsGoodTheOneWithTheImageTakesIt() {
    Node slightlyFuller = allocated(node("b", 64, 65_536), 2, 2_048);
    Cluster cluster = cluster(List.of(node("a", 64, 65_536), slightlyFuller));
    assertEquals("a", place(spread, TOOL, cluster));

    cluster.putContainerImages("b", Set.of("tool", "other"));
    assertEquals("b", place(spread, TOOL, cluster));
    assertEquals("a", placed(spread, debian(1, 1_024), cluster), "who wants none of it");
    assertEquals("a", place(spread, new ContainerImage("third", false), cluster), "nobody has it");

    cluster.putContainerImages("b", Set.of("other"));
    assertEquals("a", place(spread, TOOL, cluster), "it is gone from there");
    assertEquals(
        spread.rank(debian(1, 1_024), cluster, 2),
        spread.rank(running(TOOL, debian(1, 1_024)), cluster, 2));
  }

  @Test
  void aNodeThatIsMuchWorseDoesNot() {
    Cluster cluster =
        cluster(List.of(node("a", 64, 65_536), allocated(node("b", 64, 65_536), 16, 16_384)));
    cluster.putContainerImages("b", Set.of("tool"));
    assertEquals("a", place(spread, TOOL, cluster));
    cluster.putContainerImages("a", Set.of("tool"));
    assertEquals("a", place(spread, TOOL, cluster), "both have it");

    Cluster halfFull =
        cluster(List.of(node("a", 64, 65_536), allocated(node("b", 64, 65_536), 32, 32_768)));
    halfFull.putContainerImages("a", Set.of("tool"));
    assertEquals("b", place(pack, TOOL, halfFull), "whole nodes stay free all the same");
  }

  @Test
  void whoIsRefusedByTheOthersGoesWhereverTheImageIs() {
    Cluster cluster =
        cluster(List.of(node("a", 64, 65_536), allocated(node("b", 64, 65_536), 60, 60_000)));
    cluster.putContainerImages("b", Set.of("tool"));
    assertEquals("a", place(spread, TOOL, cluster));
    assertEquals("b", place(spread, TOOL_NOT_PULLED, cluster));

    Cluster other = cluster(List.of(node("a", 64, 65_536), emulated(node("b", 64, 65_536))));
    other.putContainerImages("b", Set.of("tool"));
    assertEquals("a", place(spread, TOOL, other));
    assertEquals("b", place(spread, TOOL_NOT_PULLED, other));
  }

  @Test
  void theImageSpeaksForNoNodeThatSomethingSpeaksAgainst() {
    Node tainted =
        labelled(
            node("d", 64, 65_536), Map.of(), new Taint("old", "", Taint.Effect.PREFER_NO_SCHEDULE));
    Cluster cluster =
        cluster(
            List.of(
                cordoned(node("a", 64, 65_536)),
                emulated(node("b", 64, 65_536)),
                allocated(node("c", 64, 65_536), 60, 60_000),
                tainted));
    for (String id : List.of("a", "b", "d")) {
      cluster.putContainerImages(id, Set.of("tool"));
    }
    assertEquals("c", place(spread, TOOL, cluster));

    Cluster lastResorts = cluster(List.of(emulated(node("b", 64, 65_536)), tainted));
    lastResorts.putContainerImages("b", Set.of("tool"));
    assertEquals("d", place(spread, TOOL, lastResorts));
  }

  @Test
  void whatItIsWorthIsInTheScoreThatIsTold() {
    Cluster cluster = cluster(List.of(node("a", 64, 65_536), node("b", 64, 65_536)));
    cluster.putContainerImages("b", Set.of("tool"));
    List<Decision.Placed> ranked = spread.rank(running(TOOL, debian(1, 1_024)), cluster, 2);
    assertEquals(List.of("b", "a"), ranked.stream().map(Decision.Placed::nodeId).toList());
    assertTrue(ranked.getFirst().score() > ranked.getLast().score());
    assertTrue(ranked.getFirst().score() <= 1);
    assertEquals(
        spread.place(running(TOOL, debian(1, 1_024)), cluster), ranked.getFirst(), "and is it");
  }

  // ---- many

  @Test
  void oneNodeIsNotSwampedByWhatItAloneHas() {
    Cluster cluster = cluster(nodes(100));
    cluster.putContainerImages("n000", Set.of("tool"));
    Map<String, Integer> taken = placeMany(cluster, 200);
    assertTrue(
        taken.getOrDefault("n000", 0) <= 3, () -> "two each, and it has " + taken.get("n000"));
    assertEquals(100, taken.size());
  }

  @Test
  void whereManyHaveTheImageTheyTakeMoreThanTheOthersAndShareItEvenly() {
    Cluster cluster = cluster(nodes(200));
    for (int i = 0; i < 100; i++) {
      cluster.putContainerImages("n%03d".formatted(2 * i), Set.of("tool"));
    }
    Map<String, Integer> taken = placeMany(cluster, 500);
    assertEquals(100, taken.size(), "nobody has to get it");
    assertTrue(
        taken.values().stream().allMatch(count -> count >= 4 && count <= 6),
        () -> "five each: " + taken);

    placeMany(cluster, 1_000).forEach((id, count) -> taken.merge(id, count, Integer::sum));
    assertEquals(200, taken.size(), "now others are so much emptier that they do");
  }

  @Test
  void whoIsTheBestAndHasTheImageIsNotPassedOverForAnother() {
    for (int best = 0; best < 100; best += 7) {
      String id = "n%03d".formatted(best);
      Cluster cluster =
          cluster(
              nodes(100).stream()
                  .map(node -> node.id().equals(id) ? node : allocated(node, 2, 2_048))
                  .toList());
      nodes(100).forEach(node -> cluster.putContainerImages(node.id(), Set.of("tool")));
      assertEquals(id, place(spread, TOOL, cluster));
    }
  }

  /** Over many random clusters in which at most as many have the image as are looked at. */
  @Test
  void aDecisionIsThatOfAScan() {
    Random random = new Random(42);
    for (int round = 0; round < 1_000; round++) {
      List<Node> nodes = new ArrayList<>();
      Set<String> with = new HashSet<>();
      int count = 1 + random.nextInt(150);
      double part = random.nextDouble() * Locality.MOST_NODES / count;
      for (int i = 0; i < count; i++) {
        Node node = node("n%03d".formatted(i), 8, 8_192);
        node = random.nextInt(5) == 0 ? emulated(node) : node;
        nodes.add(allocated(node, random.nextInt(9), 1_024L * random.nextInt(9)));
        if (random.nextDouble() < part && with.size() < Locality.MOST_NODES) {
          with.add(node.id());
        }
      }
      Cluster cluster = cluster(nodes);
      with.forEach(id -> cluster.putContainerImages(id, Set.of("tool")));
      Request request = running(TOOL, debian(1 + random.nextInt(3), 512));
      for (Profile profile : Profile.values()) {
        Decision decision = Scheduler.standard(profile).place(request, cluster);
        assertEquals(scan(profile, request, nodes, with), decision, () -> nodes + " with " + with);
      }
    }
  }

  /** The rule again, said another way; of nodes that nothing else is said of. */
  private Decision scan(
      Profile profile, Request request, Collection<Node> nodes, Set<String> with) {
    double worth = 0.2 * with.size() / nodes.size();
    List<Decision.Placed> ranked = new ArrayList<>();
    for (Node node : nodes) {
      Resources used = node.allocated().plus(request.demand());
      if (used.fits(node.kind().capacity())) {
        double score = profile.score(Use.of(used, node.kind().capacity()), node.kind());
        double more = with.contains(node.id()) ? worth : 0;
        double factor = node.kind().emulated() ? 0.001 : 1;
        ranked.add(new Decision.Placed(node.id(), (score + more * factor) / (1 + worth)));
      }
    }
    return ranked.stream()
        .min(
            Comparator.comparingDouble(Decision.Placed::score)
                .reversed()
                .thenComparing(Decision.Placed::nodeId))
        .<Decision>map(placed -> placed)
        .orElseGet(() ->
            new Decision.Unplaceable(Scheduler.standard(profile).explain(request, cluster(nodes))));
  }

  // ---- words

  private static List<Node> nodes(int count) {
    return IntStream.range(0, count).mapToObj(i -> node("n%03d".formatted(i), 64, 65_536)).toList();
  }

  private Map<String, Integer> placeMany(Cluster cluster, int count) {
    Request request = running(TOOL, debian(1, 1_024));
    Map<String, Integer> taken = new HashMap<>();
    for (int i = 0; i < count; i++) {
      String id = placed(spread, request, cluster);
      cluster.reserve("vm-" + placements++, id, request.demand(), request.peer());
      taken.merge(id, 1, Integer::sum);
    }
    return taken;
  }

  private static String place(Scheduler scheduler, ContainerImage image, Cluster cluster) {
    return placed(scheduler, running(image, debian(1, 1_024)), cluster);
  }

  private static String placed(Scheduler scheduler, Request request, Cluster cluster) {
    return assertInstanceOf(Decision.Placed.class, scheduler.place(request, cluster)).nodeId();
  }
}
