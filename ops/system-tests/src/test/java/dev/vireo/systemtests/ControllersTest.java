package dev.vireo.systemtests;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vireo.bench.cluster.MicroVms;
import dev.vireo.bench.cluster.ProbeSpec;
import dev.vireo.bench.cluster.ReplicatedControlPlane;
import dev.vireo.bench.cluster.ReplicatedControlPlane.Member;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmServiceGrpc.MicroVmServiceBlockingStub;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Three controllers on an etcd of three members, one of each of which is killed or stopped while a
 * client creates and deletes: what was answered holds, and the client, the store, the node and the
 * host's processes agree in the end.
 */
@Tag("fault")
class ControllersTest {
  private static final int POOL = 2;
  private static final int ALIVE_AT_MOST = 6;
  private static final Duration ATTEMPT = Duration.ofSeconds(10);
  private static final String TICKING = "probe.run=tick probe.interval_ms=200";

  private static @Nullable ReplicatedCluster started;

  private final ReplicatedCluster cluster = Objects.requireNonNull(started);

  @BeforeAll
  static void start() throws Exception {
    assumeTrue(ReplicatedControlPlane.hasEtcd(), "etcd is not installed (Debian: etcd-server)");
    started = ReplicatedCluster.start(POOL);
  }

  @AfterAll
  static void stop() throws Exception {
    if (started != null) {
      started.close();
    }
  }

  /** Something that goes wrong, and is put right again. */
  private record Fault(String what, Disturbance disturbance) {}

  /** Does it to one process, and returns how that is undone. */
  @FunctionalInterface
  private interface Disturbance {
    Remedy disturb() throws Exception;
  }

  @FunctionalInterface
  private interface Remedy {
    void apply() throws Exception;
  }

  private Remedy kill(Member member) {
    member.kill();
    return () -> cluster.controlPlane.restart(member);
  }

  private static Remedy freeze(Member member) throws Exception {
    member.freeze();
    return member::thaw;
  }

  private Remedy restart(Member controller) throws Exception {
    controller.stop();
    cluster.controlPlane.restart(controller);
    return () -> {};
  }

  @Test
  void whatWasAnsweredHoldsWhoeverIsKilledOrStopped() throws Exception {
    withstand(
        List.of(
            new Fault("kill -9 of the leader", () -> kill(cluster.controlPlane.leader())),
            new Fault("SIGSTOP of the leader", () -> freeze(cluster.controlPlane.leader())),
            new Fault("kill -9 of a follower", () -> kill(cluster.controlPlane.follower())),
            new Fault("SIGSTOP of a follower", () -> freeze(cluster.controlPlane.follower())),
            new Fault("kill -9 of an etcd member", () -> kill(cluster.etcd.get(0))),
            new Fault("SIGSTOP of an etcd member", () -> freeze(cluster.etcd.get(1)))));
  }

  @Test
  void aRollingRestartLosesNothing() throws Exception {
    withstand(
        cluster.controllers.stream()
            .map(controller ->
                new Fault("restart of " + controller.name(), () -> restart(controller)))
            .toList());
  }

  private void withstand(List<Fault> faults) throws Exception {
    try (Client client = new Client()) {
      for (Fault fault : faults) {
        client.awaitPlacements(2);
        Remedy remedy = fault.disturbance.disturb();
        long start = System.nanoTime();
        client.awaitPlacements(1);
        System.out.printf(
            "%s: the next placement was answered %d ms after%n",
            fault.what, TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start));
        client.awaitPlacements(1);
        remedy.apply();
      }
      client.awaitPlacements(2);
      client.finish();
      assertAgreement(client.running());
      client.deleteAll();
      assertAgreement(Map.of());
    }
  }

  /** The client's list, each controller's, the node and the host's processes are one. */
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
    await("the node")
        .atMost(ReplicatedCluster.PATIENCE)
        .untilAsserted(() ->
            assertEquals(
                uidsByName.values().stream().sorted().toList(),
                cluster.microVmDirectories().stream().sorted().toList()));
    int own = cluster.etcd.size() + cluster.controllers.size() + 1;
    await("the host's processes")
        .atMost(ReplicatedCluster.PATIENCE)
        .untilAsserted(
            () -> assertEquals(own + POOL + uidsByName.size(), cluster.processes().alive().size()));
  }

  /** Creates and deletes, one after the other, until each has been answered. */
  private final class Client implements AutoCloseable {
    private static final AtomicInteger COUNT = new AtomicInteger();

    private final MicroVmSpec spec = ProbeSpec.of(TICKING).toBuilder().setMemoryMib(16).build();
    private final MicroVms names =
        new MicroVms(cluster.controllers.getFirst().channel(), "default");
    private final Deque<MicroVm> alive = new ArrayDeque<>();
    private final AtomicInteger begun = new AtomicInteger();
    private final AtomicInteger placements = new AtomicInteger();
    private final Thread thread = Thread.ofPlatform().name("client").unstarted(this::run);
    private volatile boolean finishing;
    private volatile @Nullable Throwable failure;
    private int controller;

    Client() {
      thread.start();
    }

    private void run() {
      try {
        while (!finishing) {
          create();
          if (alive.size() > ALIVE_AT_MOST) {
            delete(alive.removeFirst());
          }
        }
      } catch (RuntimeException | Error e) {
        failure = e;
      }
    }

    private void create() {
      begun.incrementAndGet();
      String id = "vm-" + COUNT.incrementAndGet();
      CreateMicroVmRequest request = names.request(id, spec).setWait(Wait.WAIT_RUNNING).build();
      alive.add(answered(api -> api.createMicroVm(request)));
      placements.incrementAndGet();
    }

    private void delete(MicroVm microVm) {
      DeleteMicroVmRequest request =
          DeleteMicroVmRequest.newBuilder()
              .setName(microVm.getMeta().getName())
              .setForce(true)
              .setAllowMissing(true)
              .build();
      answered(api -> api.deleteMicroVm(request));
    }

    /** As a client does that wants it done: again, and elsewhere, if that can help. */
    private MicroVm answered(Function<MicroVmServiceBlockingStub, MicroVm> call) {
      long end = System.nanoTime() + ReplicatedCluster.PATIENCE.toNanos();
      while (true) {
        Member asked = cluster.controllers.get(controller % cluster.controllers.size());
        try {
          return call.apply(
              MicroVmServiceGrpc.newBlockingStub(asked.channel())
                  .withDeadlineAfter(ATTEMPT.toMillis(), TimeUnit.MILLISECONDS));
        } catch (StatusRuntimeException e) {
          Status.Code code = e.getStatus().getCode();
          boolean mayHelp =
              code == Status.Code.UNAVAILABLE || code == Status.Code.DEADLINE_EXCEEDED;
          if (!mayHelp || System.nanoTime() - end > 0) {
            throw e;
          }
          asked.channel().resetConnectBackoff();
          controller++;
          pause();
        }
      }
    }

    private static void pause() {
      try {
        Thread.sleep(100);
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
    }

    /** So many that begin from now on. */
    void awaitPlacements(int more) {
      int until = begun.get() + more;
      await("placements")
          .pollInterval(Duration.ofMillis(10))
          .atMost(ReplicatedCluster.PATIENCE)
          .until(() -> placements.get() >= until || failure != null);
      assertNoFailure();
    }

    private void assertNoFailure() {
      if (failure != null) {
        throw new AssertionError("a call that could be retried failed", failure);
      }
    }

    void finish() throws InterruptedException {
      finishing = true;
      thread.join();
      assertNoFailure();
    }

    Map<String, String> running() {
      Map<String, String> running = new TreeMap<>(Comparator.naturalOrder());
      alive.forEach(each -> running.put(each.getMeta().getName(), each.getMeta().getUid()));
      return running;
    }

    void deleteAll() {
      alive.forEach(this::delete);
    }

    @Override
    public void close() {
      finishing = true;
      try {
        thread.join();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }
}
