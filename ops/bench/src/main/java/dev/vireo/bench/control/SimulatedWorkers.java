package dev.vireo.bench.control;

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
import io.grpc.stub.StreamObserver;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/** Workers without VMMs: what they are told to run is said to run at once. */
final class SimulatedWorkers implements AutoCloseable {
  private static final int HEARTBEAT_SECONDS = 3;
  private static final int START_SECONDS = 30;

  private final ManagedChannel channel;
  private final List<Worker> workers = new ArrayList<>();
  private final ScheduledExecutorService heartbeats =
      Executors.newSingleThreadScheduledExecutor(
          Thread.ofPlatform().name("heartbeats").daemon().factory());

  private SimulatedWorkers(ManagedChannel channel) {
    this.channel = channel;
  }

  /** Has so many join; returns when all are welcome. */
  static SimulatedWorkers join(ControllerProcess controller, int count)
      throws InterruptedException {
    SimulatedWorkers all = new SimulatedWorkers(controller.channel());
    CountDownLatch welcome = new CountDownLatch(count);
    for (int i = 0; i < count; i++) {
      Worker worker = new Worker(welcome);
      worker.out = WorkerServiceGrpc.newStub(all.channel).session(worker);
      worker.say(WorkerMessage.newBuilder().setHello(hello("node-" + i)));
      all.workers.add(worker);
    }
    if (!welcome.await(START_SECONDS, TimeUnit.SECONDS)) {
      all.close();
      throw new IllegalStateException("the controller did not welcome all workers");
    }
    var _ =
        all.heartbeats.scheduleAtFixedRate(
            () ->
                all.workers.forEach(worker ->
                    worker.say(
                        WorkerMessage.newBuilder().setHeartbeat(Heartbeat.getDefaultInstance()))),
            0,
            HEARTBEAT_SECONDS,
            TimeUnit.SECONDS);
    return all;
  }

  private static Hello hello(String id) {
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
                        .setMinMemoryMib(16)))
        .build();
  }

  /** One session. */
  private static final class Worker implements StreamObserver<ControllerMessage> {
    private final CountDownLatch welcome;
    private StreamObserver<WorkerMessage> out = new Silent();

    Worker(CountDownLatch welcome) {
      this.welcome = welcome;
    }

    synchronized void say(WorkerMessage.Builder message) {
      out.onNext(message.build());
    }

    @Override
    public void onNext(ControllerMessage message) {
      if (message.hasWelcome()) {
        welcome.countDown();
      } else if (message.getDesiredChange().hasUpsert()) {
        say(WorkerMessage.newBuilder().setReport(running(message.getDesiredChange().getUpsert())));
      } else if (message.getDesiredChange().hasRemove()) {
        say(WorkerMessage.newBuilder().setReport(removed(message.getDesiredChange().getRemove())));
      }
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

    @Override
    public void onError(Throwable error) {}

    @Override
    public void onCompleted() {}
  }

  /** Before there is a session. */
  private static final class Silent implements StreamObserver<WorkerMessage> {
    @Override
    public void onNext(WorkerMessage message) {}

    @Override
    public void onError(Throwable error) {}

    @Override
    public void onCompleted() {}
  }

  @Override
  public void close() {
    heartbeats.shutdownNow();
    channel.shutdownNow();
  }
}
