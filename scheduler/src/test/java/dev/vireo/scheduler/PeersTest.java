package dev.vireo.scheduler;

import static dev.vireo.scheduler.Nodes.debian;
import static dev.vireo.scheduler.Nodes.labelled;
import static dev.vireo.scheduler.Nodes.node;
import static dev.vireo.scheduler.Nodes.notReady;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.scheduler.LabelExpression.Operator;
import dev.vireo.scheduler.Nodes.Node;
import dev.vireo.scheduler.PeerRule.Apart;
import dev.vireo.scheduler.PeerRule.Near;
import dev.vireo.scheduler.PeerRule.Spread;
import dev.vireo.scheduler.Taint.Effect;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;

/** What microVMs want of where others are. */
final class PeersTest {
  private static final PeerSelector WEB = new PeerSelector("p", Map.of("app", "web"));
  private static final PeerSelector DATABASE = new PeerSelector("p", Map.of("app", "db"));

  private final Scheduler scheduler = Scheduler.standard(Profile.LEAST_ALLOCATED);
  private final Cluster cluster = new Cluster();
  private int uids;

  PeersTest() {
    for (String id : List.of("a1", "a2", "b1")) {
      cluster.put(id, inZone(id, id.substring(0, 1)).kind());
    }
  }

  @Test
  void apartByNodeTakesANodeForEachAndThenNone() {
    Peer web = web(new Apart(WEB, PeerRule.NODE));

    assertEquals("a1", run(web));
    assertEquals("a2", run(web));
    assertEquals("b1", run(web));
    assertEquals("0 of 3 nodes: 3 have microVMs to be apart from (by node)", run(web));
  }

  @Test
  void apartByALabelTakesADomainForEach() {
    Peer web = web(new Apart(WEB, "zone"));

    assertEquals("a1", run(web));
    assertEquals("b1", run(web));
    assertEquals("0 of 3 nodes: 3 have microVMs to be apart from (by zone)", run(web));
  }

  @Test
  void whoIsApartFromOthersIsSoAlsoFromThoseThatComeLater() {
    run(web(new Apart(DATABASE, "zone")));

    assertEquals("b1", run(peer("db")));
  }

  @Test
  void otherProjectsAreNobodysNeighbours() {
    PeerSelector theirs = new PeerSelector("q", Map.of("app", "web"));
    run(new Peer("q", Map.of("app", "web"), 0, List.of(new Apart(theirs, "zone"))));

    assertEquals("a2", run(web(new Apart(WEB, "zone"))));
  }

  @Test
  void nearGoesWhereTheOthersAreAndTheFirstAnywhere() {
    assertEquals(
        "0 of 3 nodes: 3 are away from app=db (by zone)", run(web(new Near(DATABASE, "zone"))));
    cluster.reserve("db", "b1", new Resources(1000, 64), peer("db"));

    assertEquals("b1", run(web(new Near(DATABASE, "zone"))));
    assertEquals("b1", run(web(new Near(DATABASE, PeerRule.NODE))));
    assertEquals(
        "a1",
        run(
            new Peer(
                "p",
                Map.of("app", "x"),
                0,
                List.of(new Near(new PeerSelector("p", Map.of("app", "x")), PeerRule.NODE)))));
  }

  @Test
  void aSpreadKeepsDomainsEvenAndCountsOnlyThoseThatCouldTakeIt() {
    Peer web = web(new Spread(WEB, "zone", 1));

    assertEquals("a1", run(web));
    assertEquals("b1", run(web));
    assertEquals("a2", run(web));
    assertEquals("b1", run(web));
    cluster.put("b1", notReady(inZone("b1", "b")).kind());
    assertEquals("a1", run(web), "zone b does not count");
    assertEquals("a2", run(web));
    cluster.put("b1", inZone("b1", "b").kind());
    assertEquals("b1", run(web), "two behind");
    cluster.put("b1", labelled(node("b1", 1, 64), Map.of("zone", "b")).kind());
    assertEquals(
        "0 of 3 nodes: 2 have too many of its kind (by zone, at most 1 more than elsewhere),"
            + " 1 lacks CPU (need 1, free 0)",
        run(web));
  }

  @Test
  void aSpreadByNodeKnowsTheNodesThatHaveNone() {
    Peer web = web(new Spread(WEB, PeerRule.NODE, 1));
    cluster.reserve("full", "a2", new Resources(5000, 512), peer("db"));

    assertEquals("a1", run(web));
    assertEquals("b1", run(web));
    assertEquals("a2", run(web), "though it is the fullest");
    assertEquals("a1", run(web));
  }

  @Test
  void aSpreadThatMayBeAsUnevenAsCanBeSaidShutsNothing() {
    for (String id : List.of("a1", "a2", "b1")) {
      cluster.reserve("first on " + id, id, new Resources(1000, 64), peer("web"));
      cluster.reserve("second on " + id, id, new Resources(1000, 64), peer("web"));
    }

    assertEquals("a1", run(web(new Spread(WEB, PeerRule.NODE, Integer.MAX_VALUE))));
    assertEquals("a2", run(web(new Spread(WEB, "zone", Integer.MAX_VALUE))));
  }

  @Test
  void whatHasGoneIsNobodysNeighbour() {
    cluster.reserve("web", "a1", new Resources(1000, 64), web(new Apart(WEB, "zone")));
    cluster.release("web");

    assertEquals("a1", run(web(new Apart(WEB, "zone"))));
  }

  // ---- over many random clusters

  /** A microVM that is there. */
  private record Neighbour(String uid, String nodeId, Resources resources, Peer peer) {}

  /** Over many random clusters and rules: what is decided is what a look at every node decides. */
  @Test
  void aDecisionIsThatOfAScan() {
    Random random = new Random(7);
    int placed = 0;
    int refused = 0;
    for (int round = 0; round < 3_000; round++) {
      Map<String, Node> nodes = randomNodes(random);
      List<Neighbour> neighbours = randomNeighbours(random, nodes);
      Cluster made = new Cluster();
      nodes.forEach((id, node) -> made.put(id, node.kind()));
      neighbours.forEach(n -> made.reserve(n.uid, n.nodeId, n.resources, n.peer));
      Profile profile = random.nextBoolean() ? Profile.LEAST_ALLOCATED : Profile.BIN_PACK;
      Request request =
          debian(
              1 + random.nextInt(2),
              64L * (1 + random.nextInt(4)),
              randomRules(random),
              randomPeer(random));

      Scheduler standard = Scheduler.standard(profile);
      List<Decision.Placed> expected = scan(profile, request, nodes, neighbours);
      Decision decision = standard.place(request, made);
      Supplier<String> story = () -> nodes.values() + " with " + neighbours + " for " + request;
      if (decision instanceof Decision.Placed choice) {
        placed++;
        assertEquals(expected.getFirst(), choice, story);
      } else {
        refused++;
        assertEquals(List.of(), expected, story);
      }
      assertEquals(expected, standard.rank(request, made, Integer.MAX_VALUE), story);
      assertEquals(expected.size(), standard.explain(request, made).suitable(), story);
    }
    assertEquals(List.of(true, true), List.of(placed > 500, refused > 500), placed + " " + refused);
  }

  /**
   * However microVMs have come and gone and nodes have changed, and whatever has been asked before:
   * what is decided is what a look at every node decides.
   */
  @Test
  void aDecisionIsThatOfAScanAfterAnyChanges() {
    for (int mostTallies : List.of(1, 3, Peers.MOST_TALLIES)) {
      Random random = new Random(13);
      Cluster changed = new Cluster(mostTallies);
      Map<String, Node> nodes = new HashMap<>();
      Map<String, Neighbour> neighbours = new HashMap<>();
      for (int step = 0; step < 4_000; step++) {
        switch (random.nextInt(6)) {
          case 0 -> {
            // Labels, taints and health become others; some nodes become known only now.
            Node node = randomNode(random, "n" + random.nextInt(10));
            nodes.put(node.id(), node);
            changed.put(node.id(), node.kind());
          }
          case 1, 2 -> {
            String uid = "vm" + random.nextInt(30);
            neighbours.remove(uid);
            changed.release(uid);
          }
          default -> {
            // In place of what it claimed before, with other labels and rules.
            Neighbour n =
                randomNeighbour(random, "vm" + random.nextInt(30), "n" + random.nextInt(11));
            neighbours.put(n.uid, n);
            changed.reserve(n.uid, n.nodeId, n.resources, n.peer);
          }
        }
        Profile profile = random.nextBoolean() ? Profile.LEAST_ALLOCATED : Profile.BIN_PACK;
        Request request = debian(1, 64, randomRules(random), randomPeer(random));
        List<Decision.Placed> expected =
            scan(profile, request, nodes, List.copyOf(neighbours.values()));
        Decision decision = Scheduler.standard(profile).place(request, changed);
        assertEquals(
            expected.stream().findFirst(),
            Optional.of(decision).filter(d -> d instanceof Decision.Placed),
            () -> nodes.values() + " with " + neighbours.values() + " for " + request);
      }
    }
  }

  /** Where so many nodes are open that the index is asked, not each of them. */
  @Test
  void nearOfManyIsTheBestOfThem() {
    Random random = new Random(17);
    Peer web = web(new Near(WEB, PeerRule.NODE));
    for (int i = 0; i < 900; i++) {
      String id = "n" + i;
      cluster.put(id, node(id, 8, 1024).kind());
      Resources resources = new Resources(random.nextInt(8_000), random.nextInt(1024));
      cluster.reserve("vm" + i, id, resources, i % 3 == 0 ? web : peer("other"));
    }
    for (int i = 0; i < 900; i += 3) {
      Request request = debian(1, 64, NodeRules.NONE, web);
      assertEquals(
          scheduler.rank(request, cluster, 1).getFirst(), scheduler.place(request, cluster));
      cluster.release("vm" + i);
    }
  }

  @Test
  void whatNobodyAsksForAnyMoreIsForgotten() {
    for (int i = 0; i < 2 * Peers.MOST_TALLIES; i++) {
      PeerSelector peers = new PeerSelector("p", Map.of("app", "app-" + i));
      run(new Peer("p", peers.labels(), 0, List.of(new Spread(peers, "zone", 1))));
    }

    assertEquals(Peers.MOST_TALLIES, cluster.peers().tallies());
  }

  /** The rules again, said another way: node by node, microVM by microVM. */
  private static List<Decision.Placed> scan(
      Profile profile, Request request, Map<String, Node> nodes, List<Neighbour> neighbours) {
    List<Node> eligible =
        nodes.values().stream()
            .filter(node ->
                Filter.STANDARD.stream()
                    .allMatch(filter -> filter.refuse(request, node.kind()).isEmpty()))
            .toList();
    return eligible.stream()
        .filter(node ->
            request.peer().rules().stream()
                .allMatch(rule -> allows(rule, request.peer(), node, eligible, nodes, neighbours)))
        .filter(node -> neighbours.stream().noneMatch(n -> repels(n, request.peer(), node, nodes)))
        .filter(node -> used(node, neighbours).plus(request.demand()).fits(node.kind().capacity()))
        .map(node -> new Decision.Placed(node.id(), score(profile, request, node, neighbours)))
        .sorted(Decision.Placed.BEST_FIRST)
        .toList();
  }

  private static double score(
      Profile profile, Request request, Node node, List<Neighbour> neighbours) {
    Resources used = used(node, neighbours).plus(request.demand());
    return request
        .nodeRules()
        .bias(node.kind())
        .of(profile.score(Use.of(used, node.kind().capacity()), node.kind()));
  }

  private static Resources used(Node node, List<Neighbour> neighbours) {
    return neighbours.stream()
        .filter(n -> n.nodeId.equals(node.id()))
        .map(Neighbour::resources)
        .reduce(Resources.NONE, Resources::plus);
  }

  private static boolean allows(
      PeerRule rule,
      Peer itself,
      Node node,
      List<Node> eligible,
      Map<String, Node> nodes,
      List<Neighbour> neighbours) {
    List<Neighbour> peers = neighbours.stream().filter(n -> isOne(rule, n.peer)).toList();
    Optional<String> domain = domain(rule, node);
    return switch (rule) {
      case Apart _ ->
          domain.isEmpty() || peers.stream().noneMatch(n -> domain.equals(domain(rule, n, nodes)));
      case Near _ ->
          (peers.isEmpty() && isOne(rule, itself))
              || (domain.isPresent()
                  && peers.stream().anyMatch(n -> domain.equals(domain(rule, n, nodes))));
      case Spread spread -> {
        if (domain.isEmpty()) {
          yield false;
        }
        long fewest =
            eligible.stream()
                .map(other -> domain(rule, other))
                .flatMap(Optional::stream)
                .mapToLong(other ->
                    peers.stream()
                        .filter(n -> domain(rule, n, nodes).equals(Optional.of(other)))
                        .count())
                .min()
                .orElse(0);
        long here = peers.stream().filter(n -> domain.equals(domain(rule, n, nodes))).count();
        yield here + (isOne(rule, itself) ? 1 : 0) - fewest <= spread.maxSkew();
      }
    };
  }

  private static boolean repels(
      Neighbour neighbour, Peer itself, Node node, Map<String, Node> nodes) {
    return neighbour.peer.rules().stream()
        .filter(rule -> rule instanceof Apart && isOne(rule, itself))
        .anyMatch(rule ->
            domain(rule, node).isPresent()
                && domain(rule, node).equals(domain(rule, neighbour, nodes)));
  }

  private static boolean isOne(PeerRule rule, Peer peer) {
    return rule.peers().project().equals(peer.project())
        && rule.peers().labels().entrySet().stream()
            .allMatch(label -> label.getValue().equals(peer.labels().get(label.getKey())));
  }

  private static Optional<String> domain(PeerRule rule, Neighbour n, Map<String, Node> nodes) {
    return rule.topology().equals(PeerRule.NODE)
        ? Optional.of(n.nodeId)
        : Optional.ofNullable(nodes.get(n.nodeId)).flatMap(node -> domain(rule, node));
  }

  private static Optional<String> domain(PeerRule rule, Node node) {
    return rule.topology().equals(PeerRule.NODE)
        ? Optional.of(node.id())
        : Optional.ofNullable(node.kind().labels().get(rule.topology()));
  }

  private static Map<String, Node> randomNodes(Random random) {
    Map<String, Node> nodes = new HashMap<>();
    int count = 1 + random.nextInt(10);
    for (int i = 0; i < count; i++) {
      Node node = randomNode(random, "n" + i);
      nodes.put(node.id(), node);
    }
    return nodes;
  }

  private static Node randomNode(Random random, String id) {
    Map<String, String> labels = new HashMap<>();
    if (random.nextInt(6) > 0) {
      labels.put("zone", "z" + random.nextInt(3));
    }
    if (random.nextBoolean()) {
      labels.put("disk", "ssd");
    }
    Taint[] taints =
        switch (random.nextInt(8)) {
          case 0 -> new Taint[] {new Taint("t", "", Effect.NO_SCHEDULE)};
          case 1 -> new Taint[] {new Taint("t", "", Effect.PREFER_NO_SCHEDULE)};
          default -> new Taint[0];
        };
    Node node = labelled(node(id, 8, 1024), labels, taints);
    return random.nextInt(8) == 0 ? notReady(node) : node;
  }

  private static List<Neighbour> randomNeighbours(Random random, Map<String, Node> nodes) {
    List<Neighbour> neighbours = new ArrayList<>();
    int count = random.nextInt(3 * nodes.size());
    for (int i = 0; i < count; i++) {
      // One in some is on a node that nobody knows.
      String nodeId = "n" + random.nextInt(nodes.size() + (random.nextInt(8) == 0 ? 1 : 0));
      neighbours.add(randomNeighbour(random, "vm" + i, nodeId));
    }
    return neighbours;
  }

  private static Neighbour randomNeighbour(Random random, String uid, String nodeId) {
    return new Neighbour(
        uid, nodeId, new Resources(500, 64L * random.nextInt(3)), randomPeer(random));
  }

  private static NodeRules randomRules(Random random) {
    return new NodeRules(
        Map.of(),
        random.nextInt(5) == 0
            ? List.of(new LabelExpression("zone", Operator.NOT_IN, Set.of("z1")))
            : List.of(),
        random.nextInt(3) == 0
            ? List.of(new Preference(new LabelExpression("disk", Operator.EXISTS, Set.of()), 5))
            : List.of(),
        random.nextInt(3) == 0
            ? List.of(new Toleration(Optional.of("t"), Optional.empty(), Optional.empty()))
            : List.of());
  }

  private static Peer randomPeer(Random random) {
    List<PeerRule> rules = new ArrayList<>();
    int count = random.nextInt(3);
    for (int i = 0; i < count; i++) {
      String topology = random.nextBoolean() ? PeerRule.NODE : "zone";
      PeerSelector peers =
          new PeerSelector(
              "p" + random.nextInt(2),
              random.nextInt(4) == 0
                  ? Map.of("app", "x", "tier", "1")
                  : Map.of("app", random.nextBoolean() ? "x" : "y"));
      rules.add(
          switch (random.nextInt(4)) {
            case 0 -> new Near(peers, topology);
            case 1 -> new Apart(peers, topology);
            default -> new Spread(peers, topology, 1 + random.nextInt(2));
          });
    }
    return new Peer(
        "p" + random.nextInt(2),
        Map.of("app", random.nextBoolean() ? "x" : "y", "tier", "" + random.nextInt(2)),
        0,
        rules);
  }

  // ---- words

  private static Node inZone(String id, String zone) {
    return labelled(node(id, 8, 1024), Map.of("zone", zone));
  }

  private static Peer web(PeerRule... rules) {
    return new Peer("p", Map.of("app", "web"), 0, List.of(rules));
  }

  private static Peer peer(String app) {
    return new Peer("p", Map.of("app", app), 0, List.of());
  }

  /** Where it goes, or why nowhere. */
  private String run(Peer peer) {
    Request request = debian(1, 64, NodeRules.NONE, peer);
    return switch (scheduler.place(request, cluster)) {
      case Decision.Placed(String nodeId, double _) -> {
        cluster.reserve("vm" + uids++, nodeId, request.demand(), peer);
        yield Objects.requireNonNull(nodeId);
      }
      case Decision.Unplaceable(Explanation explanation) -> explanation.summary();
    };
  }
}
