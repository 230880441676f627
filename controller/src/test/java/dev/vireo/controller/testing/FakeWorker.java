package dev.vireo.controller.testing;

import com.google.protobuf.Timestamp;
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
import dev.vireo.proto.worker.v1.WorkerMessage;
import dev.vireo.proto.worker.v1.WorkerServiceGrpc;
import io.grpc.Channel;
import io.grpc.stub.StreamObserver;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * A worker that does only what a test tells it to, and shows what it was told by the controller.
 */
public final class FakeWorker implements AutoCloseable {
  private static final long PATIENCE_SECONDS = 10;

  private final BlockingQueue<ControllerMessage> received = new LinkedBlockingQueue<>();
  private final AtomicInteger answeredHeartbeats = new AtomicInteger();
  private final CompletableFuture<@Nullable Throwable> ended = new CompletableFuture<>();
  private final StreamObserver<WorkerMessage> out;

  public FakeWorker(Channel channel) {
    out =
        WorkerServiceGrpc.newStub(channel)
            .session(
                new StreamObserver<>() {
                  @Override
                  public void onNext(ControllerMessage message) {
                    if (message.hasAlive()) {
                      answeredHeartbeats.incrementAndGet();
                    } else {
                      received.add(message);
                    }
                  }

                  @Override
                  public void onError(Throwable t) {
                    ended.complete(t);
                  }

                  @Override
                  public void onCompleted() {
                    ended.complete(null);
                  }
                });
  }

  /** An x86-64 node with hardware virtualization, 4 CPUs and 4 GiB. */
  public static Hello.Builder hello(String nodeId) {
    return Hello.newBuilder()
        .setNodeId(nodeId)
        .setNodeUid("uid-of-" + nodeId)
        .setWorkerVersion("test")
        .setCapacity(NodeResources.newBuilder().setCpuMilli(16_000).setMemoryMib(4_096))
        .setCapabilities(
            NodeCapabilities.newBuilder()
                .setArchitecture(Architecture.X86_64)
                .setVirtualization("vmx")
                .setRunsLinuxGuests(true)
                .setMaxVcpus(32)
                .addAnnouncements(Announcement.ACPI)
                .addAnnouncements(Announcement.CMDLINE)
                .addBackEnds("blk/file")
                .addBackEnds("console/unix")
                .addBackEnds("vsock/unix")
                .addImages(
                    NodeImage.newBuilder()
                        .setName("debian-12")
                        .setArchitecture(Architecture.X86_64)
                        .addAnnouncements(Announcement.ACPI)
                        .setGuestKind("linux")
                        .setMinMemoryMib(96)
                        .setRunsContainers(true))
                .addImages(
                    NodeImage.newBuilder()
                        .setName("probe")
                        .setArchitecture(Architecture.X86_64)
                        .addAnnouncements(Announcement.CMDLINE)
                        .setGuestKind("bare-metal")
                        .setMinMemoryMib(16)));
  }

  public FakeWorker say(Hello hello) {
    return say(WorkerMessage.newBuilder().setHello(hello).build());
  }

  public FakeWorker say(WorkerMessage message) {
    out.onNext(message);
    return this;
  }

  public FakeWorker heartbeat() {
    return say(
        WorkerMessage.newBuilder().setHeartbeat(Heartbeat.newBuilder().setWarmVmms(2)).build());
  }

  public FakeWorker report(MicroVmReport.Builder report) {
    return say(WorkerMessage.newBuilder().setReport(report).build());
  }

  /** The beginning of a report about an assignment. */
  public static MicroVmReport.Builder about(Assignment assignment, Outcome outcome) {
    return MicroVmReport.newBuilder()
        .setUid(assignment.getUid())
        .setName(assignment.getName())
        .setAttempt(assignment.getAttempt())
        .setObservedGeneration(assignment.getGeneration())
        .setOutcome(outcome);
  }

  public static MicroVmReport.Builder running(Assignment assignment) {
    return about(assignment, Outcome.CREATED)
        .setState(MicroVmState.RUNNING)
        .setStartTime(Timestamp.newBuilder().setSeconds(1));
  }

  public static MicroVmReport.Builder removed(String uid) {
    return MicroVmReport.newBuilder().setUid(uid).setOutcome(Outcome.REMOVED);
  }

  /** The next message; fails the test if none comes. */
  public ControllerMessage next() {
    return poll(Duration.ofSeconds(PATIENCE_SECONDS))
        .orElseThrow(
            () -> new AssertionError("the controller said nothing; ended: " + ended.getNow(null)));
  }

  /** The next message, if one comes in time. */
  public Optional<ControllerMessage> poll(Duration patience) {
    try {
      return Optional.ofNullable(received.poll(patience.toNanos(), TimeUnit.NANOSECONDS));
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  /** The next message, which must assign something. */
  public Assignment nextAssignment() {
    ControllerMessage message = next();
    if (!message.getDesiredChange().hasUpsert()) {
      throw new AssertionError("not an assignment: " + message);
    }
    return message.getDesiredChange().getUpsert();
  }

  /** How often it was told that it is heard: after its Welcome, and for each heartbeat. */
  public int answeredHeartbeats() {
    return answeredHeartbeats.get();
  }

  /** What has been received and not yet taken. */
  public boolean hasHeardNothing() {
    return received.isEmpty();
  }

  /** With which error the session ended; null if it ended well. */
  public @Nullable Throwable awaitEnd() {
    return ended.orTimeout(PATIENCE_SECONDS, TimeUnit.SECONDS).join();
  }

  /** Breaks the connection off, as a killed worker does. */
  @Override
  public void close() {
    out.onError(new IllegalStateException("killed"));
  }
}
