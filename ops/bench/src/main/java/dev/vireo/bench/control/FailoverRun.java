package dev.vireo.bench.control;

import dev.vireo.bench.Samples;
import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.OwnedProcesses;
import dev.vireo.bench.cluster.Patience;
import dev.vireo.bench.cluster.ReplicatedControlPlane;
import dev.vireo.bench.cluster.ReplicatedControlPlane.Member;
import dev.vireo.bench.control.ControlReport.Failover;
import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * Three controllers on an etcd of three members, of which one after the other is killed while
 * clients create: when the next create is answered, and whether what was answered before holds.
 */
final class FailoverRun {
  private static final int CLIENTS = 16;
  private static final int WORKERS = 20;

  /** Answered before the first fault, and between one's end and the next. */
  private static final int CREATES_BETWEEN = 200;

  private static final Duration PATIENCE = Patience.ofSeconds(60);

  /** A controller that does not lead may be behind by as much. */
  private static final Duration CATCH_UP = Patience.ofSeconds(10);

  private static final Duration LOOK = Duration.ofMillis(20);

  private final Installation installation;
  private final int rounds;
  private final Consumer<String> progress;

  /**
   * @param rounds how often each is killed
   * @param progress is told what happens
   */
  FailoverRun(Installation installation, int rounds, Consumer<String> progress) {
    this.installation = installation;
    this.rounds = rounds;
    this.progress = progress;
  }

  Failover run(OwnedProcesses owned) throws IOException, InterruptedException {
    progress.accept("three controllers and three etcd members start");
    // A line for each create is a file's business, and not what is measured.
    List<String> settings = List.of("-Dquarkus.log.level=WARN");
    try (ReplicatedControlPlane plane =
            ReplicatedControlPlane.start(installation, owned, settings);
        SimulatedWorkers _ = SimulatedWorkers.join(connections(plane), WORKERS);
        PersistentCreates creates =
            new PersistentCreates(
                plane.controllers().stream().map(Member::channel).toList(), "failover")) {
      creates.start(CLIENTS);
      awaitMore(creates);
      List<Double> leader = new ArrayList<>();
      List<Double> follower = new ArrayList<>();
      List<Double> etcd = new ArrayList<>();
      for (int round = 0; round < rounds; round++) {
        leader.add(kill("the leader", plane.leader(), plane, creates));
        follower.add(kill("a follower", plane.follower(), plane, creates));
        Member member = plane.etcd().get(round % plane.etcd().size());
        etcd.add(kill("an etcd member", member, plane, creates));
      }
      creates.finish();
      int lost = lost(plane, creates);
      if (creates.failure() != null) {
        progress.accept("a create failed: " + creates.failure());
      }
      return new Failover(
          new Samples(leader),
          new Samples(follower),
          new Samples(etcd),
          creates.answered(),
          lost,
          creates.retried(),
          creates.failed());
    }
  }

  /** New ones: for workers, so that what clients ask for does not wait behind what those say. */
  private static List<ManagedChannel> connections(ReplicatedControlPlane plane) {
    return plane.controllers().stream()
        .map(Member::address)
        .map(address -> NettyChannelBuilder.forTarget(address).usePlaintext().build())
        .toList();
  }

  /** Returns the milliseconds from the kill to the answer of a create that was called after it. */
  private double kill(
      String what, Member victim, ReplicatedControlPlane plane, PersistentCreates creates)
      throws IOException, InterruptedException {
    long killed = System.nanoTime();
    victim.kill();
    if (!creates.create()) {
      throw new IOException(
          "after kill -9 of %s a create failed: %s".formatted(what, creates.failure()));
    }
    double millis = (System.nanoTime() - killed) / 1e6;
    progress.accept(
        "kill -9 of %s (%s): the next create was answered %.0f ms after"
            .formatted(what, victim.name(), millis));
    awaitMore(creates);
    plane.restart(victim);
    awaitMore(creates);
    return millis;
  }

  private static void awaitMore(PersistentCreates creates)
      throws IOException, InterruptedException {
    int enough = creates.answered() + CREATES_BETWEEN;
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (creates.answered() < enough) {
      if (System.nanoTime() > deadline) {
        throw new IOException("the control plane did not go on");
      }
      Thread.sleep(LOOK);
    }
  }

  /** At the controller that knows least, once each has seen what the others have. */
  private static int lost(ReplicatedControlPlane plane, PersistentCreates creates)
      throws InterruptedException {
    int lost = 0;
    // Not those that know of a controller that was away.
    List<ManagedChannel> fresh = connections(plane);
    for (ManagedChannel controller : fresh) {
      long deadline = System.nanoTime() + CATCH_UP.toNanos();
      int here = creates.lostAt(controller);
      while (here > 0 && System.nanoTime() < deadline) {
        Thread.sleep(LOOK);
        here = creates.lostAt(controller);
      }
      lost = Math.max(lost, here);
      controller.shutdownNow();
    }
    return lost;
  }
}
