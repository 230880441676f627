package dev.vireo.controller.grpc;

import static dev.vireo.controller.testing.ControllerTest.assertRefused;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.vireo.controller.store.StoreException;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.GetNodeRequest;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeServiceGrpc;
import io.grpc.ManagedChannel;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.inprocess.InProcessChannelBuilder;
import io.grpc.inprocess.InProcessServerBuilder;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Whatever a service does wrong, its client gets a reason of the catalogue. */
final class ErrorInterceptorTest {
  private final Faulty service = new Faulty();
  private Server server;
  private ManagedChannel channel;

  /** Throws, or answers with, what the test says. */
  private static final class Faulty extends NodeServiceGrpc.NodeServiceImplBase {
    private RuntimeException error = new IllegalStateException("secret detail");
    private boolean thrown;

    @Override
    public void getNode(GetNodeRequest request, StreamObserver<Node> client) {
      if (thrown) {
        throw error;
      }
      client.onError(error);
    }
  }

  @BeforeEach
  void start() throws IOException {
    server =
        InProcessServerBuilder.forName("faulty")
            .addService(service)
            .intercept(new ErrorInterceptor())
            .build()
            .start();
    channel = InProcessChannelBuilder.forName("faulty").build();
  }

  @AfterEach
  void stop() {
    channel.shutdownNow();
    server.shutdownNow();
  }

  private void call() {
    Node _ = NodeServiceGrpc.newBlockingStub(channel).getNode(GetNodeRequest.getDefaultInstance());
  }

  @Test
  void aBugIsInternalAndKeepsItsDetailsToItself() {
    for (boolean thrown : new boolean[] {true, false}) {
      service.thrown = thrown;
      StatusRuntimeException refused = assertRefused(ErrorReason.INTERNAL, this::call);
      assertFalse(String.valueOf(refused.getMessage()).contains("secret detail"));
    }
  }

  @Test
  void aStoreThatFailsIsUnavailable() {
    for (StoreException error :
        List.of(
            StoreException.unavailable("disk full"), StoreException.outcomeUnknown("no answer"))) {
      service.error = error;
      for (boolean thrown : new boolean[] {true, false}) {
        service.thrown = thrown;
        assertRefused(ErrorReason.STORE_UNAVAILABLE, this::call);
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void everyReasonOfTheCatalogueArrivesAsItIs(ErrorReason reason) {
    service.error = Errors.of(reason, "as it is");
    for (boolean thrown : new boolean[] {true, false}) {
      service.thrown = thrown;
      assertEquals(reason.code() + ": as it is", assertRefused(reason, this::call).getMessage());
    }
  }

  @Test
  void aCancellationIsNotABug() {
    service.error = Status.CANCELLED.asRuntimeException();
    service.thrown = true;

    assertEquals(
        Status.Code.CANCELLED,
        assertThrows(StatusRuntimeException.class, this::call).getStatus().getCode());
  }
}
