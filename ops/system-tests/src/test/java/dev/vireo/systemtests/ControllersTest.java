package dev.vireo.systemtests;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vireo.bench.cluster.ReplicatedControlPlane;
import dev.vireo.bench.cluster.ReplicatedControlPlane.Member;
import dev.vireo.systemtests.Ordeal.Fault;
import dev.vireo.systemtests.Ordeal.Remedy;
import io.grpc.ManagedChannel;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
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
  private static final Duration ATTEMPT = Duration.ofSeconds(10);

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
    List<ManagedChannel> channels = cluster.controllers.stream().map(Member::channel).toList();
    try (RetryingClients client = new RetryingClients(1, channels, ATTEMPT)) {
      new Ordeal(cluster).of(client, faults);
    }
  }
}
