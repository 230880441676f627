package dev.vireo.systemtests;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.bench.cluster.MicroVms;
import dev.vireo.bench.cluster.ReplicatedControlPlane.Member;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmState;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;

/**
 * Faults, one after the other, while clients create and delete; and whether the clients, each
 * controller, the nodes and the host's processes agree in the end.
 */
record Ordeal(ReplicatedCluster cluster) {
  /** Something that goes wrong, and is put right again. */
  record Fault(String what, Disturbance disturbance) {}

  /** Does it, and returns how that is undone. */
  @FunctionalInterface
  interface Disturbance {
    Remedy disturb() throws Exception;
  }

  @FunctionalInterface
  interface Remedy {
    void apply() throws Exception;
  }

  void of(RetryingClients clients, List<Fault> faults) throws Exception {
    for (Fault fault : faults) {
      clients.awaitPlacements(2);
      Remedy remedy = fault.disturbance.disturb();
      long start = System.nanoTime();
      clients.awaitPlacements(1);
      System.out.printf(
          "%s: the next placement was answered %d ms after%n",
          fault.what, TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start));
      clients.awaitPlacements(1);
      remedy.apply();
    }
    clients.awaitPlacements(2);
    clients.finish();
    assertAgreement(clients.running());
    clients.deleteAll();
    assertAgreement(Map.of());
  }

  private void assertAgreement(Map<String, String> uidsByName) throws Exception {
    for (Member controller : cluster.controllers) {
      MicroVms microVms = new MicroVms(controller.channel(), "default");
      await(controller.name())
          .atMost(ReplicatedCluster.PATIENCE)
          .ignoreExceptions()
          .untilAsserted(() -> {
            List<MicroVm> all = microVms.list();
            Map<String, String> listed = new TreeMap<>();
            all.forEach(each -> listed.put(each.getMeta().getName(), each.getMeta().getUid()));
            assertEquals(uidsByName, listed);
            assertTrue(
                all.stream().allMatch(each -> each.getStatus().getState() == MicroVmState.RUNNING));
          });
      for (MicroVm each : microVms.list()) {
        assertEquals(0, each.getStatus().getRestarts(), "its guest has noticed nothing");
      }
    }
    await("the nodes")
        .atMost(ReplicatedCluster.PATIENCE)
        .untilAsserted(() ->
            assertEquals(
                uidsByName.values().stream().sorted().toList(),
                cluster.microVmDirectories().stream().sorted().toList()));
    await("the host's processes")
        .atMost(ReplicatedCluster.PATIENCE)
        .untilAsserted(() ->
            assertEquals(
                cluster.ownProcesses() + uidsByName.size(), cluster.processes().alive().size()));
  }
}
