package dev.vireo.scheduler;

import static dev.vireo.scheduler.Nodes.cluster;
import static dev.vireo.scheduler.Nodes.debian;
import static dev.vireo.scheduler.Nodes.emulated;
import static dev.vireo.scheduler.Nodes.labelled;
import static dev.vireo.scheduler.Nodes.node;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.scheduler.LabelExpression.Operator;
import dev.vireo.scheduler.Nodes.Node;
import dev.vireo.scheduler.Taint.Effect;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** What microVMs want of nodes' labels and taints. */
final class NodeRulesTest {
  private static final Taint GPU = new Taint("gpu", "a100", Effect.NO_SCHEDULE);
  private static final Taint OLD = new Taint("old", "", Effect.PREFER_NO_SCHEDULE);
  private static final Taint BROKEN = new Taint("broken", "", Effect.NO_EXECUTE);

  private final Scheduler scheduler = Scheduler.standard(Profile.LEAST_ALLOCATED);

  @Test
  void expressionsCompareALabelThatMayNotBeThere() {
    Map<String, String> labels = Map.of("zone", "a");

    assertTrue(expression("zone", Operator.IN, "a", "b").matches(labels));
    assertFalse(expression("zone", Operator.IN, "b").matches(labels));
    assertFalse(expression("disk", Operator.IN, "ssd").matches(labels));
    assertFalse(expression("zone", Operator.NOT_IN, "a").matches(labels));
    assertTrue(expression("disk", Operator.NOT_IN, "ssd").matches(labels));
    assertTrue(expression("zone", Operator.EXISTS).matches(labels));
    assertFalse(expression("disk", Operator.EXISTS).matches(labels));
    assertTrue(expression("disk", Operator.DOES_NOT_EXIST).matches(labels));
    assertEquals("zone in (a, b)", expression("zone", Operator.IN, "b", "a").toString());
  }

  @Test
  void whatIsRequiredOfLabelsRefusesTheOthersInItsOwnWords() {
    NodeRules inB = requiring(expression("zone", Operator.IN, "b"));
    Node a = node("a", 4, 1024);
    Node b = labelled(node("b", 4, 1024), Map.of("zone", "b"));

    assertEquals("b", placed(inB, a, b));
    assertEquals("0 of 1 node: 1 does not meet zone in (b)", refusal(inB, a));
  }

  @Test
  void ofWhatIsPreferredTheHeavierWins() {
    NodeRules rules =
        new NodeRules(
            Map.of(),
            List.of(),
            List.of(
                new Preference(expression("zone", Operator.IN, "b"), 1),
                new Preference(expression("disk", Operator.EXISTS), 10)),
            List.of());
    Node b = labelled(node("b", 4, 1024), Map.of("zone", "b"));
    Node ssd = labelled(node("s", 4, 1024), Map.of("disk", "ssd"));

    assertEquals("s", placed(rules, node("a", 4, 1024), b, ssd));
    assertEquals("b", placed(rules, node("a", 4, 1024), b));
    assertEquals("a", placed(rules, node("a", 4, 1024)));
  }

  @Test
  void aTaintKeepsAwayWhatDoesNotTolerateIt() {
    Node tainted = labelled(node("a", 4, 1024), Map.of(), GPU);

    assertEquals("0 of 1 node: 1 is tainted gpu=a100:NoSchedule", refusal(NodeRules.NONE, tainted));
    assertEquals("a", placed(tolerating("gpu", "a100"), tainted));
    assertEquals(
        "0 of 1 node: 1 is tainted gpu=a100:NoSchedule",
        refusal(tolerating("gpu", "h100"), tainted));
    assertEquals(
        "0 of 1 node: 1 is tainted broken:NoExecute",
        refusal(NodeRules.NONE, labelled(node("a", 4, 1024), Map.of(), BROKEN)));
    NodeRules tolerant =
        new NodeRules(
            Map.of(),
            List.of(),
            List.of(),
            List.of(new Toleration(Optional.empty(), Optional.empty(), Optional.empty())));
    assertEquals("a", placed(tolerant, labelled(node("a", 4, 1024), Map.of(), GPU, BROKEN)));
  }

  @Test
  void aNodeThatIsTaintedALittleComesAfterTheOthersButBeforeAnEmulatedOne() {
    Node tainted = labelled(node("a", 4, 1024), Map.of(), OLD);
    Node full = Nodes.allocated(node("z", 4, 1024), 3, 896);

    assertEquals("z", placed(NodeRules.NONE, tainted, full));
    assertEquals("a", placed(NodeRules.NONE, tainted, emulated(node("e", 4, 1024))));
    assertEquals("a", placed(tolerating("old", ""), tainted, full));
  }

  private static LabelExpression expression(String key, Operator operator, String... values) {
    return new LabelExpression(key, operator, Set.of(values));
  }

  private static NodeRules requiring(LabelExpression expression) {
    return new NodeRules(Map.of(), List.of(expression), List.of(), List.of());
  }

  private static NodeRules tolerating(String key, String value) {
    return new NodeRules(
        Map.of(),
        List.of(),
        List.of(),
        List.of(new Toleration(Optional.of(key), Optional.of(value), Optional.empty())));
  }

  private String placed(NodeRules rules, Node... nodes) {
    return ((Decision.Placed)
            scheduler.place(debian(1, 64, rules, Peer.NONE), cluster(List.of(nodes))))
        .nodeId();
  }

  private String refusal(NodeRules rules, Node... nodes) {
    return ((Decision.Unplaceable)
            scheduler.place(debian(1, 64, rules, Peer.NONE), cluster(List.of(nodes))))
        .explanation()
        .summary();
  }
}
