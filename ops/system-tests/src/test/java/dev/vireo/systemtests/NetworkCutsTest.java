package dev.vireo.systemtests;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vireo.bench.cluster.Host;
import dev.vireo.bench.cluster.OwnedProcesses;
import dev.vireo.bench.cluster.ReplicatedControlPlane;
import dev.vireo.bench.cluster.ReplicatedControlPlane.Member;
import dev.vireo.proto.v1.NodeStatus.Health;
import dev.vireo.systemtests.CuttableNetwork.Cut;
import dev.vireo.systemtests.CuttableNetwork.Loss;
import dev.vireo.systemtests.Ordeal.Fault;
import dev.vireo.systemtests.Ordeal.Remedy;
import io.grpc.ManagedChannel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Three controllers, an etcd of three members and two workers, each on a host of its own, between
 * which the network is cut while clients create and delete: whether packets are lost without a
 * word, refused, or lost one way only, what was answered holds, nothing runs twice, and all agree
 * once it has healed.
 */
@Tag("fault")
class NetworkCutsTest {
  private static final int POOL = 1;
  private static final int CLIENTS = 3;
  private static final Duration ATTEMPT = Duration.ofSeconds(2);

  private static final List<String> HOSTS =
      List.of(
          "etcd-1",
          "etcd-2",
          "etcd-3",
          "controller-1",
          "controller-2",
          "controller-3",
          "worker-1",
          "worker-2",
          "client");

  /** Longer than a worker waits to hear, and than a leader leads that says nothing. */
  private static final Duration A_WHILE = Duration.ofSeconds(3);

  /** So that a test sees a node LOST, and another lead, in seconds. */
  private static final List<String> SETTINGS =
      List.of("-Dvireo.node.lease=4S", "-Dvireo.leader.lease=3S");

  private static @Nullable OwnedProcesses processes;
  private static @Nullable CuttableNetwork network;
  private static @Nullable ReplicatedCluster started;

  private final ReplicatedCluster cluster = Objects.requireNonNull(started);
  private final CuttableNetwork cuttable = Objects.requireNonNull(network);

  @BeforeAll
  static void start() throws Exception {
    assumeTrue(ReplicatedControlPlane.hasEtcd(), "etcd is not installed (Debian: etcd-server)");
    assumeTrue(
        "root".equals(System.getProperty("user.name")), "network namespaces are made by root");
    for (String program : List.of("ip", "nft", "nsenter", "unshare")) {
      assumeTrue(isInstalled(program), program + " is not installed (Debian: iproute2, nftables)");
    }
    processes = OwnedProcesses.create("vireo-test");
    CuttableNetwork made = CuttableNetwork.create(processes, HOSTS);
    network = made;
    started =
        ReplicatedCluster.start(
            processes,
            SETTINGS,
            made::host,
            List.of(made.host("worker-1"), made.host("worker-2")),
            POOL);
  }

  private static boolean isInstalled(String program) {
    return Stream.of(System.getenv("PATH").split(":"))
        .anyMatch(directory -> Files.isExecutable(Path.of(directory, program)));
  }

  @AfterAll
  static void stop() throws Exception {
    if (started != null) {
      started.close();
    } else if (processes != null) {
      processes.close();
    }
  }

  @Test
  void aWorkerIsCutOff() throws Exception {
    withstand(
        List.of(
            new Fault(
                "a worker from all controllers, until it was LOST",
                () -> {
                  Remedy heal = cutOff(Loss.SILENT, worker(), hosts(cluster.controllers));
                  cluster.awaitNode(1, Health.LOST);
                  return healed(heal);
                }),
            new Fault(
                "what a worker sends to the leader, and what that sends to another",
                () -> {
                  Remedy heard = cutOneWay(Loss.SILENT, worker(), leader());
                  Remedy hears = cutOneWay(Loss.SILENT, leader(), otherWorker());
                  return healedAfter(
                      A_WHILE,
                      () -> {
                        heard.apply();
                        hears.apply();
                      });
                })));
  }

  @Test
  void theControlPlaneIsCutApart() throws Exception {
    withstand(
        List.of(
            new Fault(
                "the leader from etcd", () -> cutOff(Loss.SILENT, leader(), hosts(cluster.etcd))),
            new Fault(
                "a follower from etcd, reset",
                () -> cutOff(Loss.RESET, follower(), hosts(cluster.etcd))),
            new Fault(
                "what etcd sends to the leader",
                () -> cutOneWay(Loss.SILENT, hosts(cluster.etcd), leader())),
            new Fault(
                "the followers from the leader",
                () -> cutOff(Loss.SILENT, leader(), hosts(cluster.controllers))),
            new Fault("clients from the leader", () -> cutOff(Loss.SILENT, client(), leader())),
            new Fault(
                "clients from a follower, unreachable",
                () -> cutOff(Loss.UNREACHABLE, client(), follower())),
            new Fault(
                "etcd's leader from its peers",
                () -> cutOff(Loss.SILENT, etcdLeader(), hosts(cluster.etcd))),
            new Fault("everybody from everybody", () -> healedAfter(A_WHILE, cutAll()))));
  }

  private Remedy cutAll() throws IOException {
    return cutOneWay(Loss.SILENT, cuttable.hosts(), cuttable.hosts());
  }

  /** For faults during which every client may wait, for what only their end can bring. */
  private static Remedy healedAfter(Duration time, Remedy heal) throws Exception {
    Thread.sleep(time);
    return healed(heal);
  }

  private static Remedy healed(Remedy heal) throws Exception {
    heal.apply();
    return () -> {};
  }

  private Remedy cutOff(Loss loss, Collection<Host> some, Collection<Host> others)
      throws IOException {
    Cut there = cuttable.cutOneWay(loss, some, others);
    Cut back = cuttable.cutOneWay(loss, others, some);
    return () -> {
      there.heal();
      back.heal();
    };
  }

  private Remedy cutOneWay(Loss loss, Collection<Host> from, Collection<Host> to)
      throws IOException {
    return cuttable.cutOneWay(loss, from, to)::heal;
  }

  private Collection<Host> leader() throws IOException {
    return hosts(List.of(cluster.controlPlane.leader()));
  }

  private Collection<Host> follower() throws IOException {
    return hosts(List.of(cluster.controlPlane.follower()));
  }

  private Collection<Host> etcdLeader() throws IOException {
    return hosts(List.of(cluster.controlPlane.etcdLeader()));
  }

  private Collection<Host> worker() {
    return List.of(cuttable.host("worker-1"));
  }

  private Collection<Host> otherWorker() {
    return List.of(cuttable.host("worker-2"));
  }

  private Collection<Host> client() {
    return List.of(cuttable.host("client"));
  }

  private Collection<Host> hosts(List<Member> members) {
    return members.stream().map(Member::host).toList();
  }

  private void withstand(List<Fault> faults) throws Exception {
    Host host = cuttable.host("client");
    List<ManagedChannel> channels =
        cluster.controllers.stream().map(member -> member.channelFrom(host)).toList();
    try (RetryingClients clients = new RetryingClients(CLIENTS, channels, ATTEMPT)) {
      new Ordeal(cluster).of(clients, faults);
    } finally {
      channels.forEach(ManagedChannel::shutdownNow);
    }
  }
}
