package dev.vireo.controller.leader;

import static dev.vireo.controller.testing.ControllerTest.assertRefused;
import static dev.vireo.controller.testing.TestController.PARENT;
import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.google.protobuf.ByteString;
import dev.vireo.controller.store.EtcdOptions;
import dev.vireo.controller.store.EtcdServer;
import dev.vireo.controller.store.EtcdStore;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.testing.DeafStore;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.ManualTime;
import dev.vireo.controller.testing.TestController;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.store.v1.LeaderRecord;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.GetMicroVmRequest;
import dev.vireo.proto.v1.ListMicroVmsRequest;
import dev.vireo.proto.v1.ListNodesRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.NodeStatus.Health;
import dev.vireo.proto.v1.StreamLogsRequest;
import dev.vireo.proto.v1.StreamLogsResponse;
import dev.vireo.proto.v1.WatchMicroVmsRequest;
import dev.vireo.proto.v1.WatchMicroVmsResponse;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.LogChunk;
import dev.vireo.proto.worker.v1.ReadLog;
import dev.vireo.proto.worker.v1.WorkerMessage;
import io.grpc.Context;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Several controllers on one etcd: whichever a client asks, it is answered as by one. */
class ReplicasTest {
  private static final Duration LEASE = Duration.ofSeconds(3);
  private static final Duration PATIENCE = Duration.ofSeconds(10);
  private static final AtomicInteger TESTS = new AtomicInteger();

  private static EtcdServer etcd;

  private final String prefix = "/replicas/" + TESTS.incrementAndGet() + "/";
  private final List<Replica> replicas = new ArrayList<>();
  private Replica leader;
  private Replica follower;

  /** A controller with what makes it one of several. */
  private final class Replica implements AutoCloseable {
    final String address = UUID.randomUUID().toString();
    final DeafStore store;
    final Leadership leadership = Leadership.elected(TimeSource.system());
    final TestController controller;
    final LeaderElection election;
    private @Nullable Thread thread;

    /**
     * @param stands whether it can be elected
     */
    Replica(Duration patience, boolean stands) {
      Store etcdStore =
          EtcdStore.open(
              new EtcdOptions(
                  List.of(etcd.endpoint()),
                  prefix,
                  "ours",
                  EtcdOptions.Tls.DEFAULT,
                  Optional.empty(),
                  Duration.ofSeconds(10)),
              TimeSource.system());
      store = new DeafStore(etcdStore);
      controller = new TestController(store, new ManualTime(), leadership, address, patience);
      election =
          new LeaderElection(
              etcdStore,
              leadership,
              LeaderRecord.newBuilder().setId(address).setAddress(address).build(),
              LEASE,
              TimeSource.system());
      if (stands) {
        thread = Thread.ofPlatform().name("election").start(election);
      }
      replicas.add(this);
    }

    boolean leads() {
      return leadership.leads();
    }

    /** In good order. */
    @Override
    public void close() {
      replicas.remove(this);
      if (thread != null) {
        election.close();
      }
      controller.close();
      store.close();
    }
  }

  @BeforeAll
  static void startEtcd() {
    assumeTrue(EtcdServer.isInstalled(), "etcd is not installed (Debian: etcd-server)");
    etcd = EtcdServer.start();
  }

  @AfterAll
  static void stopEtcd() {
    if (EtcdServer.isInstalled()) {
      etcd.close();
    }
  }

  @BeforeEach
  void start() {
    leader = new Replica(PATIENCE, true);
    await().until(leader::leads);
    follower = new Replica(PATIENCE, true);
    await().until(() -> follower.leadership.leader().isPresent());
  }

  @AfterEach
  void stop() {
    List.copyOf(replicas).reversed().forEach(Replica::close);
  }

  private static MicroVm create(Replica replica, String id) {
    return replica.controller.client().createMicroVm(probe(id));
  }

  private static MicroVm get(Replica replica, String id) {
    return replica
        .controller
        .client()
        .getMicroVm(GetMicroVmRequest.newBuilder().setName(name(id)).build());
  }

  private static Assignment running(FakeWorker worker, Replica replica, String id) {
    create(replica, id);
    Assignment assignment = worker.nextAssignment();
    worker.report(FakeWorker.running(assignment));
    await().until(() -> get(replica, id).getStatus().getState() == MicroVmState.RUNNING);
    return assignment;
  }

  @Test
  void whicheverIsAskedItIsTheSame() {
    leader.controller.join("a");

    MicroVm created = create(follower, "vm");

    assertEquals(created, get(follower, "vm"), "what it was told it has done is to be seen there");
    assertEquals(created, get(leader, "vm"));
    assertEquals("nodes/a", created.getStatus().getNode(), "the leader knows the nodes");
    assertEquals(
        1,
        follower
            .controller
            .nodeClient()
            .listNodes(ListNodesRequest.getDefaultInstance())
            .getNodesCount());
    assertRefused(ErrorReason.MICROVM_ALREADY_EXISTS, () -> create(follower, "vm"));
    follower
        .controller
        .client()
        .deleteMicroVm(DeleteMicroVmRequest.newBuilder().setName(name("vm")).build());
    assertTrue(get(follower, "vm").getMeta().hasDeleteTime());
  }

  @Test
  void anAnswerIsHeldBackUntilItsControllerShowsIt() throws Exception {
    leader.controller.join("a");
    create(follower, "before");
    follower.store.cutOff();

    CompletableFuture<MicroVm> created =
        CompletableFuture.supplyAsync(() -> create(follower, "vm"), Thread::startVirtualThread);

    await().until(() -> leader.controller.microVms.all().size() == 2);
    await().during(Duration.ofMillis(300)).until(() -> !created.isDone());
    follower.store.hearAgain();
    assertEquals(created.get(10, TimeUnit.SECONDS), get(follower, "vm"));
  }

  @Test
  void aWatchGoesOnAtAnotherController() {
    leader.controller.join("a");
    create(leader, "one");
    long version =
        leader
            .controller
            .client()
            .listMicroVms(ListMicroVmsRequest.newBuilder().setParent(PARENT).build())
            .getResourceVersion();
    create(leader, "two");

    Iterator<WatchMicroVmsResponse> watch =
        follower
            .controller
            .client()
            .watchMicroVms(
                WatchMicroVmsRequest.newBuilder()
                    .setParent(PARENT)
                    .setResourceVersion(version)
                    .build());

    WatchMicroVmsResponse first = watch.next();
    while (!first.hasMicrovm()) { // Nothing yet: this controller hears of changes a moment later.
      first = watch.next();
    }
    assertEquals(name("two"), first.getMicrovm().getMeta().getName());
  }

  @Test
  void aStreamComesThroughAndItsEndGoesBack() {
    FakeWorker worker = leader.controller.join("a");
    running(worker, follower, "vm");
    Context.CancellableContext client = Context.current().withCancellation();
    StreamLogsRequest logs =
        StreamLogsRequest.newBuilder().setName(name("vm")).setFollow(true).build();
    List<Iterator<StreamLogsResponse>> stream = new ArrayList<>();
    client.run(() -> stream.add(follower.controller.client().streamLogs(logs)));
    ReadLog read = worker.next().getReadLog();

    for (int i = 0; i < 10; i++) {
      worker.say(
          WorkerMessage.newBuilder()
              .setLogChunk(
                  LogChunk.newBuilder()
                      .setStreamId(read.getStreamId())
                      .setOffset(i)
                      .setData(ByteString.copyFromUtf8("" + i)))
              .build());
      assertEquals("" + i, stream.getFirst().next().getData().toStringUtf8());
    }
    client.cancel(null);

    await().until(() -> worker.next().getCancelLog().getStreamId() == read.getStreamId());
  }

  @Test
  void aCallsDeadlineIsTheLeadersToo() {
    CreateMicroVmRequest patient = probe("vm").toBuilder().setWait(Wait.WAIT_RUNNING).build();

    assertRefused(
        ErrorReason.WAIT_TIMED_OUT,
        () ->
            follower
                .controller
                .client()
                .withDeadlineAfter(1, TimeUnit.SECONDS)
                .createMicroVm(patient));
  }

  @Test
  void aWorkerIsToldWhereTheLeaderIs() {
    Throwable end = follower.controller.dial().say(FakeWorker.hello("a").build()).awaitEnd();

    assertNotNull(end);
    assertEquals(Optional.of(ErrorReason.NOT_LEADER), Errors.reasonOf(end));
    assertEquals(leader.address, Errors.metadataOf(end).get("leader"));
  }

  @Test
  void aWorkerThatCannotReachTheLeaderWaitsForAnother() {
    FakeWorker worker = follower.controller.dial();
    worker.say(FakeWorker.hello("a").setUnreachableLeader(leader.address).build());

    await().during(Duration.ofMillis(300)).until(worker::hasHeardNothing);
    leader.close();

    assertTrue(worker.next().hasWelcome(), "it dialled the next one itself");
  }

  @Test
  void whenTheLeaderStopsTheOtherGoesOnWithAllThatItKnew() {
    FakeWorker worker = leader.controller.join("a");
    Replica third = new Replica(PATIENCE, false);
    CreateMicroVmRequest request =
        probe("vm").toBuilder().setRequestId(UUID.randomUUID().toString()).build();
    MicroVm created = follower.controller.client().createMicroVm(request);
    Assignment assignment = worker.nextAssignment();
    worker.report(FakeWorker.running(assignment));
    await().until(() -> get(follower, "vm").getStatus().getState() == MicroVmState.RUNNING);

    leader.election.close();

    Throwable end = worker.awaitEnd();
    assertNotNull(end, "it has to go elsewhere");
    assertEquals(Status.Code.UNAVAILABLE, Status.fromThrowable(end).getCode());
    await().until(follower::leads);
    String uid = created.getMeta().getUid();
    for (Replica each : List.of(follower, third)) {
      MicroVm repeated = each.controller.client().createMicroVm(request);
      assertEquals(uid, repeated.getMeta().getUid(), "the first answer");
    }
    FakeWorker again =
        follower.controller.join(FakeWorker.hello("a").addReports(FakeWorker.running(assignment)));
    create(third, "next");
    assertEquals(name("next"), again.nextAssignment().getName());
    assertEquals(MicroVmState.RUNNING, get(third, "vm").getStatus().getState());
  }

  @Test
  void aNodeHasALeasesTimeToComeToANewLeader() {
    leader.controller.join("a");
    follower.controller.time.advance(TestController.LEASE.multipliedBy(2));

    leader.election.close();
    await().until(follower::leads);

    assertEquals(Health.HEALTH_UNSPECIFIED, follower.controller.nodes.health("a"));
    follower.controller.time.advance(TestController.LEASE);
    assertEquals(dev.vireo.proto.v1.NodeStatus.Health.LOST, follower.controller.nodes.health("a"));
  }

  @Test
  void aCallThatHasGoneNowhereWaitsForALeader() throws Exception {
    Replica waiting = new Replica(PATIENCE, false);
    follower.close();
    leader.close();
    CompletableFuture<MicroVm> created =
        CompletableFuture.supplyAsync(() -> create(waiting, "vm"), Thread::startVirtualThread);
    await().during(Duration.ofMillis(300)).until(() -> !created.isDone());

    Replica third = new Replica(PATIENCE, true);

    assertEquals(created.get(10, TimeUnit.SECONDS), get(third, "vm"));
  }

  @Test
  void withoutALeaderACallIsRefusedInTheEndAndReadsGoOn() {
    create(follower, "vm");
    Replica impatient = new Replica(Duration.ofMillis(300), false);
    follower.close();
    leader.close();

    StatusRuntimeException refused =
        assertRefused(ErrorReason.NO_LEADER, () -> create(impatient, "another"));

    assertTrue(Errors.retryAfter(refused).isPresent());
    assertEquals(name("vm"), get(impatient, "vm").getMeta().getName());
    assertFalse(impatient.leads());
  }
}
