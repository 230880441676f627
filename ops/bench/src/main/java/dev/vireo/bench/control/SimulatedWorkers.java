package dev.vireo.bench.control;

import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.Announcement;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.NodeCapabilities;
import dev.vireo.proto.v1.NodeImage;
import dev.vireo.proto.v1.NodeResources;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.ControllerMessage;
import dev.vireo.proto.worker.v1.Heartbeat;
import dev.vireo.proto.worker.v1.Hello;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import dev.vireo.proto.worker.v1.Removal;
import dev.vireo.proto.worker.v1.WorkerMessage;
import dev.vireo.proto.worker.v1.WorkerServiceGrpc;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Workers without VMMs: what they are told to run is said to run at once. As real ones do, they
 * dial again when a controller goes away, and say of everything that it runs on.
 */
final class SimulatedWorkers implements AutoCloseable {
  private static final int HEARTBEAT_SECONDS = 3;
  private static final int START_SECONDS = 30;
  private static final int REDIAL_MILLIS = 200;

  /** In the metadata of the error of a controller that does not lead. */
  private static final String LEADER = "leader";

  private final List<ManagedChannel> controllers;
  private final List<Worker> workers = new ArrayList<>();
  private final ScheduledExecutorService clock =
      Executors.newSingleThreadScheduledExecutor(
          Thread.ofPlatform().name("workers").daemon().factory());
  private volatile boolean closed;

  private SimulatedWorkers(List<ManagedChannel> controllers) {
    this.controllers = List.copyOf(controllers);
  }

  /**
   * Has so many join; returns when all are welcome.
   *
   * @param controllers of one control plane, which are closed with this
   */
  static SimulatedWorkers join(List<ManagedChannel> controllers, int count)
      throws InterruptedException {
    SimulatedWorkers all = new SimulatedWorkers(controllers);
    CountDownLatch welcome = new CountDownLatch(count);
    for (int i = 0; i < count; i++) {
      Worker worker = all.new Worker("node-" + i, welcome);
      all.workers.add(worker);
      worker.dial();
    }
    if (!welcome.await(START_SECONDS, TimeUnit.SECONDS)) {
      all.close();
      throw new IllegalStateException("the controller did not welcome all workers");
    }
    var _ =
        all.clock.scheduleAtFixedRate(
            () -> all.workers.forEach(Worker::beat), 0, HEARTBEAT_SECONDS, TimeUnit.SECONDS);
    return all;
  }

  private static Hello.Builder hello(String id) {
    return Hello.newBuilder()
        .setNodeId(id)
        .setNodeUid("uid-of-" + id)
        .setWorkerVersion("bench")
        .setCapacity(
            NodeResources.newBuilder().setCpuMilli(1_000_000_000).setMemoryMib(1_000_000_000))
        .setCapabilities(
            NodeCapabilities.newBuilder()
                .setArchitecture(Architecture.X86_64)
                .setVirtualization("vmx")
                .setRunsLinuxGuests(true)
                .setMaxVcpus(32)
                .addAnnouncements(Announcement.CMDLINE)
                .addBackEnds("blk/file")
                .addImages(
                    NodeImage.newBuilder()
                        .setName("probe")
                        .setArchitecture(Architecture.X86_64)
                        .addAnnouncements(Announcement.CMDLINE)
                        .setGuestKind("bare-metal")
                        .setMinMemoryMib(16)));
  }

  /** One node, over all its sessions. */
  private final class Worker {
    private final String id;
    private final CountDownLatch welcome;

    /** What runs here, by uid. */
    private final Map<String, MicroVmReport> running = new HashMap<>();

    private int controller;
    private boolean redirected;
    private String unreachable = "";
    private @Nullable Session session;

    Worker(String id, CountDownLatch welcome) {
      this.id = id;
      this.welcome = welcome;
    }

    private synchronized void dial() {
      if (closed) {
        return;
      }
      Session next = new Session(this);
      session = next;
      next.out = WorkerServiceGrpc.newStub(controllers.get(controller)).session(next);
      next.out.onNext(
          WorkerMessage.newBuilder()
              .setHello(hello(id).addAllReports(running.values()).setUnreachableLeader(unreachable))
              .build());
    }

    private synchronized void beat() {
      if (session != null) {
        session.say(WorkerMessage.newBuilder().setHeartbeat(Heartbeat.getDefaultInstance()));
      }
    }

    private synchronized void told(Session by, ControllerMessage message) {
      if (by != session) {
        return;
      }
      if (message.hasWelcome()) {
        by.welcomed = true;
        redirected = false;
        unreachable = "";
        message.getWelcome().getAssignmentsList().stream()
            .filter(assignment -> !running.containsKey(assignment.getUid()))
            .forEach(assignment -> run(by, assignment));
        welcome.countDown();
      } else if (message.getDesiredChange().hasUpsert()) {
        run(by, message.getDesiredChange().getUpsert());
      } else if (message.getDesiredChange().hasRemove()) {
        Removal removal = message.getDesiredChange().getRemove();
        running.remove(removal.getUid());
        by.say(WorkerMessage.newBuilder().setReport(removed(removal)));
      }
    }

    private void run(Session session, Assignment assignment) {
      MicroVmReport report = running(assignment);
      running.put(assignment.getUid(), report);
      session.say(WorkerMessage.newBuilder().setReport(report));
    }

    /** Dials the leader, if one was named, else the next controller, a moment later. */
    private synchronized void ended(Session ended, Throwable failure) {
      if (ended != session) {
        return;
      }
      session = null;
      if (Errors.reasonOf(failure).isEmpty() && (ended.welcomed || redirected)) {
        unreachable = controllers.get(controller).authority();
      }
      int leader = indexOf(Errors.metadataOf(failure).get(LEADER));
      redirected = leader >= 0 && !redirected;
      controller = redirected ? leader : (controller + 1) % controllers.size();
      controllers.get(controller).resetConnectBackoff();
      if (!closed) {
        var _ = clock.schedule(this::dial, redirected ? 0 : REDIAL_MILLIS, TimeUnit.MILLISECONDS);
      }
    }

    private int indexOf(@Nullable String address) {
      return controllers.stream().map(ManagedChannel::authority).toList().indexOf(address);
    }

    private static MicroVmReport running(Assignment assignment) {
      MicroVmReport.Builder report =
          MicroVmReport.newBuilder()
              .setUid(assignment.getUid())
              .setName(assignment.getName())
              .setAttempt(assignment.getAttempt())
              .setObservedGeneration(assignment.getGeneration())
              .setOutcome(Outcome.CREATED)
              .setState(MicroVmState.RUNNING)
              .setReady(true);
      report.getStartTimeBuilder().setSeconds(System.currentTimeMillis() / 1000);
      return report.build();
    }

    private static MicroVmReport removed(Removal removal) {
      return MicroVmReport.newBuilder()
          .setUid(removal.getUid())
          .setAttempt(removal.getAttempt())
          .setOutcome(Outcome.REMOVED)
          .setState(MicroVmState.STOPPED)
          .build();
    }
  }

  /** One session, from dialling to its end. */
  private static final class Session implements StreamObserver<ControllerMessage> {
    private final Worker worker;
    private @Nullable StreamObserver<WorkerMessage> out;
    private boolean welcomed;

    Session(Worker worker) {
      this.worker = worker;
    }

    private void say(WorkerMessage.Builder message) {
      if (out != null) {
        out.onNext(message.build());
      }
    }

    @Override
    public void onNext(ControllerMessage message) {
      worker.told(this, message);
    }

    @Override
    public void onError(Throwable error) {
      worker.ended(this, error);
    }

    @Override
    public void onCompleted() {
      worker.ended(this, Status.UNAVAILABLE.asRuntimeException());
    }
  }

  @Override
  public void close() {
    closed = true;
    clock.shutdownNow();
    controllers.forEach(ManagedChannel::shutdownNow);
  }
}
