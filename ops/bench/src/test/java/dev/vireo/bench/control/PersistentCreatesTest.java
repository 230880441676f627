package dev.vireo.bench.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.ListMicroVmsRequest;
import dev.vireo.proto.v1.ListMicroVmsResponse;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc.MicroVmServiceImplBase;
import dev.vireo.proto.v1.MicroVmState;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

final class PersistentCreatesTest {
  private final FakeControllers controllers = new FakeControllers();

  @AfterEach
  void close() {
    controllers.close();
  }

  /** Answers creates with these errors, in turn, and then with a microVM that runs. */
  private static final class Creating extends MicroVmServiceImplBase {
    private final Deque<Status> errors;
    private final List<CreateMicroVmRequest> requests = new ArrayList<>();
    private final List<MicroVm> known = new ArrayList<>();

    Creating(Status... errors) {
      this.errors = new ArrayDeque<>(List.of(errors));
    }

    @Override
    public synchronized void createMicroVm(
        CreateMicroVmRequest request, StreamObserver<MicroVm> answer) {
      requests.add(request);
      if (!errors.isEmpty()) {
        answer.onError(errors.removeFirst().asRuntimeException());
        return;
      }
      MicroVm.Builder made = request.getMicrovm().toBuilder();
      made.getMetaBuilder()
          .setName(request.getParent() + "/microvms/" + request.getMicrovmId())
          .setUid("uid of " + request.getRequestId());
      made.getStatusBuilder().setState(MicroVmState.RUNNING);
      known.add(made.build());
      answer.onNext(made.build());
      answer.onCompleted();
    }

    @Override
    public synchronized void listMicroVms(
        ListMicroVmsRequest request, StreamObserver<ListMicroVmsResponse> answer) {
      answer.onNext(ListMicroVmsResponse.newBuilder().addAllMicrovms(known).build());
      answer.onCompleted();
    }
  }

  @Test
  void theSameRequestIsMadeAgainAtTheNextController() throws IOException {
    // What gRPC says of a connection that closes under a call.
    Creating first = new Creating(Status.UNKNOWN.withDescription("channel closed"));
    Creating second = new Creating();
    controllers.add(first);
    controllers.add(second);
    try (PersistentCreates creates = new PersistentCreates(controllers.channels(), "test")) {
      assertTrue(creates.create());

      assertEquals(1, creates.answered());
      assertEquals(1, creates.retried());
      assertEquals(0, creates.failed());
      assertNull(creates.failure());
    }
    assertEquals(first.requests, second.requests);
  }

  @Test
  void whatNoFurtherAttemptWouldHelpHasFailed() throws IOException {
    controllers.add(new Creating(Status.INVALID_ARGUMENT));
    try (PersistentCreates creates = new PersistentCreates(controllers.channels(), "test")) {
      assertFalse(creates.create());
      assertTrue(creates.create());

      assertEquals(1, creates.answered());
      assertEquals(0, creates.retried());
      assertEquals(1, creates.failed());
      assertNotNull(creates.failure());
    }
  }

  @Test
  void whatWasAnsweredAndAControllerDoesNotKnowIsLostThere() throws IOException {
    Creating controller = new Creating();
    controllers.add(controller);
    try (PersistentCreates creates = new PersistentCreates(controllers.channels(), "test")) {
      for (int i = 0; i < 3; i++) {
        assertTrue(creates.create());
      }
      assertEquals(0, creates.lostAt(controllers.channels().getFirst()));

      MicroVm gone = controller.known.removeFirst();
      MicroVm.Builder stopped = controller.known.removeFirst().toBuilder();
      stopped.getStatusBuilder().setState(MicroVmState.STOPPED);
      controller.known.add(stopped.build());
      assertEquals(2, creates.lostAt(controllers.channels().getFirst()));

      MicroVm.Builder another = gone.toBuilder();
      another.getMetaBuilder().setUid("of another");
      controller.known.add(another.build());
      assertEquals(2, creates.lostAt(controllers.channels().getFirst()));
    }
  }
}
