package dev.vireo.systemtests;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.cluster.MicroVms;
import dev.vireo.bench.cluster.ProbeSpec;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.Lifecycle.RestartPolicy;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.MicroVmStatus;
import dev.vireo.proto.v1.Termination;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/**
 * SIGKILL of every process in turn, ten rounds each: what was promised holds, and nothing is left.
 */
@Tag("fault")
class KillTest {
  @RegisterExtension static final ClusterExtension CLUSTER = new ClusterExtension(2);

  private static final int ROUNDS = 10;
  private static final String TICKING = "probe.run=tick probe.interval_ms=50";

  private final LocalCluster cluster = CLUSTER.cluster();
  private final MicroVms microVms = CLUSTER.microVms();

  @BeforeEach
  void warm() throws Exception {
    cluster.awaitWarmVmms(CLUSTER.pool());
  }

  @Test
  void guestsOutliveTheirWorkerAndAreTakenBack() throws Exception {
    Footprint before = Footprint.of(cluster);
    for (int round = 0; round < ROUNDS; round++) {
      MicroVm created = microVms.create("survivor", ProbeSpec.of(TICKING), Wait.WAIT_READY);
      long pid = microVms.inspect("survivor").getVmmPid();

      cluster.killWorker();
      assertTrue(isAlive(pid), "the VMM outlives its worker");
      cluster.startWorker(CLUSTER.pool());

      awaitState("survivor", MicroVmState.RUNNING);
      assertEquals(created.getMeta().getUid(), microVms.get("survivor").getMeta().getUid());
      assertEquals(pid, awaitVmmPid("survivor"), "the same VMM, not another");
      assertNoTickIsLost();
      delete("survivor");
    }
    cluster.awaitWarmVmms(CLUSTER.pool());
    before.awaitAgain(cluster);
  }

  @Test
  void whatTheControllerAnsweredIsNotLost() throws Exception {
    Footprint before = Footprint.of(cluster);
    for (int round = 0; round < ROUNDS; round++) {
      Queue<MicroVm> answered = new ConcurrentLinkedQueue<>();
      try (ExecutorService client = Executors.newVirtualThreadPerTaskExecutor()) {
        Future<?> creating = client.submit(() -> createUntilRefused(answered));
        await().atMost(ClusterExtension.PATIENCE).until(() -> answered.size() >= 3);
        cluster.killController();
        assertThrows(ExecutionException.class, creating::get);
      }

      cluster.startController();

      for (MicroVm microVm : answered) {
        String id = idOf(microVm);
        assertEquals(microVm.getMeta().getUid(), microVms.get(id).getMeta().getUid(), id);
        awaitState(id, MicroVmState.RUNNING);
        assertEquals(0, microVms.get(id).getStatus().getRestarts(), "its guest noticed nothing");
      }
      for (MicroVm microVm : microVms.list()) {
        delete(idOf(microVm));
      }
    }
    cluster.awaitWarmVmms(CLUSTER.pool());
    before.awaitAgain(cluster);
  }

  private void createUntilRefused(Queue<MicroVm> answered) {
    MicroVmSpec small = ProbeSpec.of(TICKING).toBuilder().setMemoryMib(16).build();
    while (true) {
      answered.add(microVms.create("durable-" + answered.size(), small));
    }
  }

  @Test
  void aLostVmmIsReportedWithItsReason() throws Exception {
    Footprint before = Footprint.of(cluster);
    for (int round = 0; round < ROUNDS; round++) {
      microVms.create("lost", ProbeSpec.of(TICKING), Wait.WAIT_RUNNING);

      kill(awaitVmmPid("lost"));

      awaitState("lost", MicroVmState.FAILED);
      MicroVmStatus status = microVms.get("lost").getStatus();
      assertEquals(Termination.Cause.VMM_LOST, status.getTermination().getCause());
      assertTrue(
          status.getTermination().getMessage().contains("killed by signal 9"), status.toString());
      delete("lost");
    }
    cluster.awaitWarmVmms(CLUSTER.pool());
    before.awaitAgain(cluster);
  }

  @Test
  void aLostVmmIsStartedAgainIfThePolicySaysSo() throws Exception {
    Footprint before = Footprint.of(cluster);
    MicroVmSpec.Builder spec = ProbeSpec.of(TICKING).toBuilder();
    spec.getLifecycleBuilder().setRestartPolicy(RestartPolicy.ON_FAILURE);
    for (int round = 0; round < ROUNDS; round++) {
      microVms.create("restarted", spec.build(), Wait.WAIT_RUNNING);
      long first = awaitVmmPid("restarted");

      kill(first);

      await()
          .atMost(ClusterExtension.PATIENCE)
          .until(() -> microVms.get("restarted").getStatus().getRestarts() == 1);
      awaitState("restarted", MicroVmState.RUNNING);
      assertNotEquals(first, awaitVmmPid("restarted"));
      delete("restarted");
    }
    cluster.awaitWarmVmms(CLUSTER.pool());
    before.awaitAgain(cluster);
  }

  @Test
  void aVmmThatIsLostWhileItsWorkerIsAwayIsReportedOnItsReturn() throws Exception {
    microVms.create("orphan", ProbeSpec.of(TICKING), Wait.WAIT_RUNNING);
    long pid = awaitVmmPid("orphan");
    cluster.killWorker();
    kill(pid);

    cluster.startWorker(CLUSTER.pool());

    awaitState("orphan", MicroVmState.FAILED);
    assertEquals(
        Termination.Cause.VMM_LOST, microVms.get("orphan").getStatus().getTermination().getCause());
  }

  @Test
  void aGuestThatPowersOffWhileItsWorkerIsAwayIsReportedOnItsReturn() throws Exception {
    microVms.create(
        "leaver",
        ProbeSpec.of("probe.run=tick probe.interval_ms=100 probe.ops=10"),
        Wait.WAIT_READY);
    long pid = awaitVmmPid("leaver");
    cluster.killWorker();
    await().atMost(ClusterExtension.PATIENCE).until(() -> !isAlive(pid));

    cluster.startWorker(CLUSTER.pool());

    awaitState("leaver", MicroVmState.STOPPED);
    assertEquals(
        Termination.Cause.GUEST_POWER_OFF,
        microVms.get("leaver").getStatus().getTermination().getCause());
  }

  /** From the guest's first byte to well behind the worker's absence. */
  private void assertNoTickIsLost() {
    long written = microVms.inspect("survivor").getConsoleBytes();
    String console = microVms.followLogs("survivor", text -> text.length() > written + 50);
    long ticks = console.lines().filter(line -> line.startsWith("tick=")).count();
    for (int tick = 0; tick < ticks - 1; tick++) {
      assertTrue(console.contains("tick=" + tick + "\n"), "lost: " + tick);
    }
  }

  /** By its identity, which /proc confirms to be a process of this cluster. */
  private void kill(long pid) throws Exception {
    assertTrue(cluster.processes().alive().contains(pid), "not ours: " + pid);
    ProcessHandle.of(pid).orElseThrow().destroyForcibly();
  }

  private static String idOf(MicroVm microVm) {
    String name = microVm.getMeta().getName();
    return name.substring(name.lastIndexOf('/') + 1);
  }

  private static boolean isAlive(long pid) {
    return ProcessHandle.of(pid).map(ProcessHandle::isAlive).orElse(false);
  }

  private long awaitVmmPid(String id) {
    return await()
        .atMost(ClusterExtension.PATIENCE)
        .ignoreExceptions() // a node whose worker is on its way back cannot be asked
        .until(() -> microVms.inspect(id).getVmmPid(), pid -> pid > 0);
  }

  private void awaitState(String id, MicroVmState state) {
    await()
        .atMost(ClusterExtension.PATIENCE)
        .until(() -> microVms.get(id).getStatus().getState(), state::equals);
  }

  private void delete(String id) {
    microVms.delete(id);
    await()
        .atMost(ClusterExtension.PATIENCE)
        .until(() ->
            microVms.list().stream()
                .noneMatch(microVm -> microVm.getMeta().getName().endsWith("/" + id)));
  }
}
