package dev.vireo.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.v1.Condition;
import dev.vireo.proto.v1.ExplainPlacementResponse;
import dev.vireo.proto.v1.Gang;
import dev.vireo.proto.v1.LabelExpression;
import dev.vireo.proto.v1.LabelExpression.Operator;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.NodePreference;
import dev.vireo.proto.v1.PeerTerm;
import dev.vireo.proto.v1.Placement;
import dev.vireo.proto.v1.PlacementCandidate;
import dev.vireo.proto.v1.PlacementRefusal;
import dev.vireo.proto.v1.Preemption;
import dev.vireo.proto.v1.TaintEffect;
import dev.vireo.proto.v1.Toleration;
import dev.vireo.proto.v1.TopologySpread;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Where a microVM may go, as it is asked for and as it is explained. */
final class PlacementOptionsTest {
  private final FakeController controller = new FakeController();
  private final Cli cli = new Cli(controller);

  @AfterEach
  void stop() {
    controller.close();
  }

  @Test
  void eachOptionIsAFieldOfThePlacement() {
    assertEquals(
        ExitCode.OK,
        cli.run(
            ("run vm --node-selector a=b --require zone=a|b --require zone!=c --require disk"
                    + " --require !old --prefer 10:disk=ssd --tolerate gpu"
                    + " --tolerate gpu=a100:NoExecute --affinity app=db,tier=1@zone"
                    + " --anti-affinity app=web@node --spread app=web@zone"
                    + " --spread app=web@node:3 --priority -5 --never-preempt --gang batch/3")
                .split(" ")),
        cli::err);

    PeerTerm.Builder database =
        PeerTerm.newBuilder().putLabels("app", "db").putLabels("tier", "1").setTopologyKey("zone");
    TopologySpread.Builder web = TopologySpread.newBuilder().putLabels("app", "web");
    assertEquals(
        Placement.newBuilder()
            .putNodeSelector("a", "b")
            .addNodeRequired(expression("zone", Operator.IN).addValues("a").addValues("b"))
            .addNodeRequired(expression("zone", Operator.NOT_IN).addValues("c"))
            .addNodeRequired(expression("disk", Operator.EXISTS))
            .addNodeRequired(expression("old", Operator.DOES_NOT_EXIST))
            .addNodePreferred(
                NodePreference.newBuilder()
                    .setWeight(10)
                    .setExpression(expression("disk", Operator.IN).addValues("ssd")))
            .addTolerations(Toleration.newBuilder().setKey("gpu"))
            .addTolerations(
                Toleration.newBuilder()
                    .setKey("gpu")
                    .setValue("a100")
                    .setEffect(TaintEffect.NO_EXECUTE))
            .addAffinity(database)
            .addAntiAffinity(PeerTerm.newBuilder().putLabels("app", "web").setTopologyKey("node"))
            .addSpread(web.clone().setTopologyKey("zone").setMaxSkew(1))
            .addSpread(web.clone().setTopologyKey("node").setMaxSkew(3))
            .setPriority(-5)
            .setPreemption(Preemption.PREEMPT_NEVER)
            .setGang(Gang.newBuilder().setName("batch").setSize(3))
            .build(),
        controller.creates.getFirst().getMicrovm().getSpec().getPlacement());
  }

  @Test
  void whatIsNoneOfTheFormsIsAWrongCommandLine() {
    for (String[] wrong :
        new String[][] {
          {"--require", "!a=b"},
          {"--prefer", "zone=a"},
          {"--tolerate", "gpu:Always"},
          {"--affinity", "app=web"},
          {"--anti-affinity", "app@node"},
          {"--spread", "app=web:1"},
          {"--gang", "batch"}
        }) {
      assertEquals(ExitCode.USAGE, cli.run("run", "vm", wrong[0], wrong[1]), wrong[0]);
      assertTrue(cli.err().contains("write "), cli.err());
    }
  }

  private static LabelExpression.Builder expression(String key, Operator operator) {
    return LabelExpression.newBuilder().setKey(key).setOperator(operator);
  }

  @Test
  void explainTellsWhyItHasNoNodeAndWhatWouldHelp() {
    microVm("");
    controller.explanation(
        ExplainPlacementResponse.newBuilder()
            .setNodes(3)
            .addRefusals(refusal("LacksMemory", 2, "a", "lack memory (need 512 MiB, free 96)"))
            .addRefusals(refusal("Cordoned", 1, "c", "is cordoned"))
            .build());

    assertEquals(ExitCode.OK, cli.run("explain", "vm"));
    assertEquals(
        """
        vm is on no node: Unschedulable, 0 of 3 nodes
        0 of 3 nodes could take it now

        NODES  REASON       EXAMPLE  WHY
        2      LacksMemory  a        lack memory (need 512 MiB, free 96)
        1      Cordoned     c        is cordoned

        What would help:
          remedy of LacksMemory
          remedy of Cordoned
        """,
        cli.out());
  }

  @Test
  void explainTellsHowGoodItsNodeIs() {
    microVm("nodes/b");
    controller.explanation(
        ExplainPlacementResponse.newBuilder()
            .setNodes(2)
            .setSuitableNodes(2)
            .addCandidates(PlacementCandidate.newBuilder().setNode("nodes/a").setScore(0.91))
            .addCandidates(
                PlacementCandidate.newBuilder()
                    .setNode("nodes/b")
                    .setScore(0.5)
                    .setHasContainerImage(true))
            .build());

    assertEquals(ExitCode.OK, cli.run("explain", "vm"));
    assertEquals(
        """
        vm is on b
        2 of 2 nodes could take it now

        NODE  SCORE
        a     0.910
        b     0.500  has the image, it is here
        """,
        cli.out());
  }

  private static PlacementRefusal refusal(String reason, int nodes, String example, String why) {
    return PlacementRefusal.newBuilder()
        .setReason(reason)
        .setNodes(nodes)
        .setExampleNode("nodes/" + example)
        .setMessage(why)
        .setRemedy("remedy of " + reason)
        .build();
  }

  private void microVm(String node) {
    MicroVm.Builder vm = MicroVm.newBuilder();
    vm.getMetaBuilder().setName("projects/default/microvms/vm");
    vm.getStatusBuilder()
        .setNode(node)
        .addConditions(
            Condition.newBuilder()
                .setType("Scheduled")
                .setReason("Unschedulable")
                .setMessage("0 of 3 nodes"));
    controller.put(vm.build());
  }
}
