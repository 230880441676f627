package dev.vireo.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeStatus;
import dev.vireo.proto.v1.ResourceMeta;
import dev.vireo.proto.v1.UpdateNodeRequest;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What operators do to nodes. */
final class NodeOperationsTest {
  private final FakeController controller = new FakeController();
  private final Cli cli = new Cli(controller);

  NodeOperationsTest() {
    for (String id : List.of("a", "b")) {
      controller.add(
          Node.newBuilder()
              .setMeta(ResourceMeta.newBuilder().setName("nodes/" + id).setEtag("1"))
              .setStatus(NodeStatus.newBuilder().setHealth(NodeStatus.Health.READY))
              .build());
    }
  }

  @AfterEach
  void stop() {
    controller.close();
  }

  @Test
  void cordonClosesAllThatAreNamedAndUncordonOpensThem() {
    assertEquals(ExitCode.OK, cli.run("node", "cordon", "a", "nodes/b"));
    assertEquals("a: cordoned\nb: cordoned\n", cli.out());
    UpdateNodeRequest update = controller.nodeUpdates.getFirst();
    assertEquals(List.of("spec.cordoned"), update.getUpdateMask().getPathsList());
    assertTrue(update.getNode().getSpec().getCordoned());

    cli.run("node", "list");
    assertTrue(cli.out().contains("READY, cordoned"), cli.out());

    assertEquals(ExitCode.OK, cli.run("node", "uncordon", "a"));
    assertEquals("a: open for microVMs\n", cli.out());
    update = controller.nodeUpdates.getLast();
    assertEquals(List.of("spec.cordoned", "spec.drain"), update.getUpdateMask().getPathsList());
    assertFalse(update.getNode().getSpec().getCordoned());
    assertFalse(update.getNode().getSpec().hasDrain());
  }

  @Test
  void drainTellsHowFarItIsAndEndsWhenNothingIsLeft() {
    assigned(2);
    AtomicInteger left = new AtomicInteger(2);
    controller.afterNodeRead(() -> assigned(left.decrementAndGet()));

    assertEquals(ExitCode.OK, cli.run("node", "drain", "a", "--force"));

    assertEquals("a: drained\n", cli.out());
    assertEquals("a: 2 microVMs left\na: 1 microVM left\n", cli.err());
    UpdateNodeRequest update = controller.nodeUpdates.getFirst();
    assertEquals(List.of("spec.cordoned", "spec.drain"), update.getUpdateMask().getPathsList());
    assertTrue(update.getNode().getSpec().getCordoned());
    assertTrue(update.getNode().getSpec().getDrain().getForce());
    cli.run("node", "list");
    assertTrue(cli.out().contains("READY, drained"), cli.out());
  }

  @Test
  void aDrainThatTakesTooLongGoesOnAndSaysSo() {
    assigned(1);

    assertEquals(ExitCode.TIMED_OUT, cli.run("node", "drain", "a", "--timeout", "1s"));
    assertTrue(cli.err().contains("error: a still has 1 microVM"), cli.err());

    assertEquals(ExitCode.OK, cli.run("node", "drain", "a", "--no-wait"));
    assertEquals("a: 1 microVM to leave\n", cli.out());
    cli.run("node", "list");
    assertTrue(cli.out().contains("READY, draining (1 left)"), cli.out());
  }

  @Test
  void labelsAreSetAndTakenAwayAndNoneOfAnothersIsLost() {
    assertEquals(ExitCode.OK, cli.run("node", "label", "a", "zone=x", "old=1"));
    // Somebody else sets one while this command is between its read and its write.
    AtomicInteger reads = new AtomicInteger();
    controller.afterNodeRead(() -> {
      if (reads.incrementAndGet() == 1) {
        controller.changeNode(
            "nodes/a",
            node -> {
              node.getMetaBuilder().setEtag("2");
              node.getSpecBuilder().putLabels("theirs", "1");
              return node;
            });
      }
    });

    assertEquals(ExitCode.OK, cli.run("node", "label", "a", "zone=y", "old-"));

    assertEquals(
        Map.of("zone", "y", "theirs", "1"),
        controller.nodeUpdates.getLast().getNode().getSpec().getLabelsMap());
  }

  @Test
  void whatIsNoLabelIsAWrongCommandLine() {
    assertEquals(ExitCode.USAGE, cli.run("node", "label", "a", "zone"));
    assertTrue(cli.err().contains("'zone' is neither KEY=VALUE nor KEY-"), cli.err());
    assertEquals(List.of(), controller.nodeUpdates);
  }

  @Test
  void taintsAreSetByKeyAndEffectAndTakenAwayByKey() {
    assertEquals(
        ExitCode.OK, cli.run("node", "taint", "a", "gpu=a100:NoSchedule", "old:prefernoschedule"));
    assertEquals("a: gpu=a100:NoSchedule,old:PreferNoSchedule\n", cli.out());

    cli.run("node", "taint", "a", "gpu=h100:NoSchedule", "gpu:NoExecute", "old-");
    assertEquals("a: gpu=h100:NoSchedule,gpu:NoExecute\n", cli.out());

    assertEquals(ExitCode.USAGE, cli.run("node", "taint", "a", "gpu:Never"));
    assertTrue(
        cli.err()
            .contains("'Never' is not an effect; write NoSchedule, PreferNoSchedule or NoExecute"),
        cli.err());
    assertEquals(ExitCode.USAGE, cli.run("node", "taint", "a", "gpu"));
  }

  @Test
  void aNodeIsFencedOnlyOnTheOperatorsWord() {
    assertEquals(ExitCode.USAGE, cli.run("node", "fence", "a"));

    assertEquals(ExitCode.OK, cli.run("node", "fence", "a", "--machine-is-off"));
    assertEquals("a: fenced\n", cli.out());
  }

  @Test
  void aNodeThatIsNotThereIsNotFound() {
    assertEquals(ExitCode.NOT_FOUND, cli.run("node", "cordon", "c"));
    assertTrue(cli.err().contains("NODE_NOT_FOUND"), cli.err());
  }

  private void assigned(int microVms) {
    controller.changeNode(
        "nodes/a",
        node -> {
          node.getStatusBuilder().setAssignedMicrovms(Math.max(0, microVms));
          return node;
        });
  }
}
