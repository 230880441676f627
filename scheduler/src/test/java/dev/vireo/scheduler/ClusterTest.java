package dev.vireo.scheduler;

import static dev.vireo.scheduler.Nodes.cluster;
import static dev.vireo.scheduler.Nodes.cordoned;
import static dev.vireo.scheduler.Nodes.debian;
import static dev.vireo.scheduler.Nodes.node;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import dev.vireo.scheduler.Nodes.Node;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;

final class ClusterTest {
  private final Scheduler scheduler = Scheduler.standard(Profile.BIN_PACK);
  private final Cluster cluster = new Cluster();

  @Test
  void whatIsReservedIsNotPromisedAgain() {
    cluster.put("a", node("a", 2, 1024).kind());
    cluster.reserve("first", "a", new Resources(1000, 600), Peer.NONE);

    assertEquals(Optional.of(new Resources(1000, 424)), cluster.free("a"));
    assertInstanceOf(Decision.Unplaceable.class, scheduler.place(debian(1, 600), cluster));
    cluster.release("first");
    assertInstanceOf(Decision.Placed.class, scheduler.place(debian(1, 600), cluster));
  }

  @Test
  void aClaimMayComeBeforeItsNode() {
    cluster.reserve("early", "a", new Resources(1000, 600), Peer.NONE);
    assertEquals(Optional.empty(), cluster.free("a"));

    cluster.put("a", node("a", 2, 1024).kind());

    assertEquals(Optional.of(new Resources(1000, 424)), cluster.free("a"));
  }

  @Test
  void aNodeThatBecomesAnotherKindKeepsItsClaims() {
    Node node = node("a", 2, 1024);
    cluster.put("a", node.kind());
    cluster.reserve("vm", "a", new Resources(1000, 600), Peer.NONE);

    cluster.put("a", cordoned(node).kind());
    cluster.put("a", node.kind());
    cluster.put("a", node("a", 4, 2048).kind());

    assertEquals(Optional.of(new Resources(3000, 1448)), cluster.free("a"));
    assertEquals(1, cluster.size());
    assertEquals(1, cluster.kinds().size());
  }

  /** However a cluster came to be what it is, the same is decided as if it had been made so. */
  @Test
  void theIndexIsThatOfAClusterMadeAnew() {
    Random random = new Random(11);
    Map<String, NodeKind> kinds = new HashMap<>();
    Map<String, Node> claims = new HashMap<>();
    for (int step = 0; step < 3_000; step++) {
      String id = "n" + random.nextInt(12);
      switch (random.nextInt(4)) {
        case 0 -> {
          Node node = node(id, 4, 1024L * (1 + random.nextInt(2)));
          kinds.put(id, (random.nextInt(4) == 0 ? cordoned(node) : node).kind());
          cluster.put(id, kinds.get(id));
        }
        case 1 -> {
          String uid = "vm" + random.nextInt(40);
          cluster.release(uid);
          claims.remove(uid);
        }
        default -> {
          String uid = "vm" + random.nextInt(40);
          Resources resources = new Resources(500L * random.nextInt(3), random.nextInt(300));
          cluster.reserve(uid, id, resources, Peer.NONE);
          claims.put(uid, new Node(id, node(id, 1, 1).kind(), resources));
        }
      }
      Request request = debian(1, 64L * (1 + random.nextInt(8)));
      assertEquals(
          scheduler.place(request, cluster(nodes(kinds, claims))),
          scheduler.place(request, cluster));
    }
  }

  private static List<Node> nodes(Map<String, NodeKind> kinds, Map<String, Node> claims) {
    List<Node> nodes = new ArrayList<>();
    kinds.forEach((id, kind) ->
        nodes.add(
            new Node(
                id,
                kind,
                claims.values().stream()
                    .filter(claim -> claim.id().equals(id))
                    .map(Node::allocated)
                    .reduce(Resources.NONE, Resources::plus))));
    return nodes;
  }
}
