package dev.vireo.bench.sandbox;

import com.google.protobuf.ByteString;
import dev.vireo.bench.cluster.GuestExec;
import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.cluster.MicroVms;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.InspectMicroVmRequest;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmServiceGrpc.MicroVmServiceBlockingStub;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.StreamLogsRequest;
import io.grpc.Context;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** One microVM with Linux, through the public API, with the patience of an emulated node. */
final class LinuxGuest implements AutoCloseable {
  static final Duration PATIENCE = Duration.ofMinutes(4);

  private static final Duration BETWEEN_LOOKS = Duration.ofMillis(20);

  private final LocalCluster cluster;
  private final MicroVms microVms;
  private final String id;

  LinuxGuest(LocalCluster cluster, String id) {
    this.cluster = cluster;
    this.microVms = cluster.microVms();
    this.id = id;
  }

  String name() {
    return microVms.name(id);
  }

  String id() {
    return id;
  }

  private MicroVmServiceBlockingStub api() {
    return MicroVmServiceGrpc.newBlockingStub(cluster.channel())
        .withDeadlineAfter(PATIENCE.toSeconds(), TimeUnit.SECONDS);
  }

  MicroVm create(MicroVmSpec spec, Wait wait) {
    CreateMicroVmRequest request = microVms.request(id, spec).setWait(wait).build();
    return api().createMicroVm(request);
  }

  MicroVm get() {
    return microVms.get(id);
  }

  GuestExec exec() {
    return new GuestExec(cluster.channel(), name(), PATIENCE);
  }

  /** Asks again while the node is too busy to answer in time. */
  Inspection inspect() {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (true) {
      try {
        return api()
            .inspectMicroVm(InspectMicroVmRequest.newBuilder().setName(name()).build())
            .getInspection();
      } catch (StatusRuntimeException notNow) {
        if (System.nanoTime() > deadline) {
          throw notNow;
        }
        LockSupport.parkNanos(Duration.ofSeconds(1).toNanos());
      }
    }
  }

  /** Waits for the first piece of its log, which may not be there to be asked for yet. */
  ByteString awaitOutput() {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (true) {
      try (var call = Context.current().withCancellation()) {
        return call.call(() ->
            api()
                .streamLogs(StreamLogsRequest.newBuilder().setName(name()).setFollow(true).build())
                .next()
                .getData());
      } catch (StatusRuntimeException notYet) {
        if (System.nanoTime() > deadline) {
          throw notYet;
        }
        LockSupport.parkNanos(BETWEEN_LOOKS.toNanos());
      } catch (Exception e) {
        throw new IllegalStateException(id + " has written nothing", e);
      }
    }
  }

  /** By force; returns once nothing of it is left. */
  @Override
  public void close() {
    var _ =
        api()
            .deleteMicroVm(
                DeleteMicroVmRequest.newBuilder()
                    .setName(name())
                    .setForce(true)
                    .setAllowMissing(true)
                    .build());
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (microVms.list().stream().anyMatch(other -> other.getMeta().getName().equals(name()))) {
      if (System.nanoTime() > deadline) {
        throw new IllegalStateException(id + " was not deleted");
      }
      LockSupport.parkNanos(Duration.ofMillis(100).toNanos());
    }
  }
}
