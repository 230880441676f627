package dev.vireo.controller.leader;

import static dev.vireo.controller.testing.ControllerTest.assertRefused;
import static dev.vireo.controller.testing.TestController.probe;

import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.testing.ManualTime;
import dev.vireo.controller.testing.TestController;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc.MicroVmServiceImplBase;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.inprocess.InProcessServerBuilder;
import io.grpc.stub.StreamObserver;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.Optional;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a controller that does not lead makes of a leader that is not there. */
final class LeaderProxyTest {
  private static final Duration PATIENCE = Duration.ofSeconds(10);

  @TempDir private Path directory;

  /** A leader whose connection closes under each call, as of one that is killed. */
  private static final class Dying extends MicroVmServiceImplBase {
    @Override
    public void createMicroVm(CreateMicroVmRequest request, StreamObserver<MicroVm> client) {
      client.onError(Status.UNKNOWN.withDescription("channel closed").asRuntimeException());
    }
  }

  @Test
  void whoseLeaderDiesUnderACallIsToldToAskAgain() throws IOException {
    String address = UUID.randomUUID().toString();
    Server leader = InProcessServerBuilder.forName(address).addService(new Dying()).build().start();
    Leadership follows = Leadership.elected(TimeSource.system());
    try (Store store =
            SqliteStore.open(
                directory.resolve("vireo.db"), Clock.systemUTC(), new SimpleMeterRegistry());
        TestController follower =
            new TestController(store, new ManualTime(), follows, "follows", PATIENCE)) {
      follows.follow(Optional.of(address));

      assertRefused(ErrorReason.NO_LEADER, () -> follower.client().createMicroVm(probe("vm")));
    } finally {
      leader.shutdownNow();
    }
  }
}
