package dev.vireo.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.protobuf.ByteString;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecResponse;
import dev.vireo.proto.v1.GetMicroVmRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.ResourceMeta;
import dev.vireo.proto.v1.StreamLogsRequest;
import dev.vireo.proto.v1.StreamLogsResponse;
import io.grpc.ManagedChannel;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.inprocess.InProcessChannelBuilder;
import io.grpc.inprocess.InProcessServerBuilder;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** A call finds a controller that answers, and what it answers is the answer. */
class FailoverChannelTest {
  private final List<Server> servers = new ArrayList<>();
  private final List<ManagedChannel> channels = new ArrayList<>();

  /** A controller that refuses so many calls, and then answers with its name. */
  private final class Controller extends MicroVmServiceGrpc.MicroVmServiceImplBase {
    private final String name;
    private final ErrorReason reason;
    private int refusals;
    private int calls;

    Controller(String name, ErrorReason reason, int refusals) throws IOException {
      this.name = name;
      this.reason = reason;
      this.refusals = refusals;
      String address = UUID.randomUUID().toString();
      servers.add(InProcessServerBuilder.forName(address).addService(this).build().start());
      channels.add(InProcessChannelBuilder.forName(address).build());
    }

    @Override
    public synchronized void getMicroVm(GetMicroVmRequest request, StreamObserver<MicroVm> client) {
      calls++;
      if (refusals-- > 0) {
        client.onError(Errors.of(reason, "refused"));
        return;
      }
      answer(client);
    }

    /** Sends everything back. */
    @Override
    public StreamObserver<ExecRequest> exec(StreamObserver<ExecResponse> client) {
      return new StreamObserver<>() {
        @Override
        public void onNext(ExecRequest request) {
          client.onNext(ExecResponse.newBuilder().setStdout(request.getStdin()).build());
        }

        @Override
        public void onError(Throwable error) {}

        @Override
        public void onCompleted() {
          client.onCompleted();
        }
      };
    }

    @Override
    public synchronized void streamLogs(
        StreamLogsRequest request, StreamObserver<StreamLogsResponse> client) {
      calls++;
      client.onNext(StreamLogsResponse.newBuilder().setData(ByteString.copyFromUtf8(name)).build());
      if (refusals-- > 0) {
        client.onError(Status.UNAVAILABLE.asRuntimeException());
      } else {
        client.onCompleted();
      }
    }

    /** Nothing is left to delete: either it never was, or a delete before has seen to that. */
    @Override
    public synchronized void deleteMicroVm(
        DeleteMicroVmRequest request, StreamObserver<MicroVm> client) {
      calls++;
      if (refusals-- > 0) {
        client.onError(Errors.of(reason, "refused"));
      } else if (request.getAllowMissing()) {
        answer(client);
      } else {
        client.onError(Errors.of(ErrorReason.MICROVM_NOT_FOUND, "no such microVM"));
      }
    }

    private void answer(StreamObserver<MicroVm> client) {
      client.onNext(MicroVm.newBuilder().setMeta(ResourceMeta.newBuilder().setName(name)).build());
      client.onCompleted();
    }
  }

  private void addDeadController() {
    channels.add(InProcessChannelBuilder.forName(UUID.randomUUID().toString()).build());
  }

  @AfterEach
  void stop() {
    channels.forEach(ManagedChannel::shutdownNow);
    servers.forEach(Server::shutdownNow);
  }

  private String ask(FailoverChannel channel) {
    return MicroVmServiceGrpc.newBlockingStub(channel)
        .withDeadlineAfter(3, TimeUnit.SECONDS)
        .getMicroVm(GetMicroVmRequest.getDefaultInstance())
        .getMeta()
        .getName();
  }

  @Test
  void whenOneIsGoneTheNextIsAskedAndAskedFirstFromThenOn() throws Exception {
    addDeadController();
    Controller alive = new Controller("alive", ErrorReason.INTERNAL, 0);
    FailoverChannel channel = new FailoverChannel(channels);

    assertEquals("alive", ask(channel));
    assertEquals("alive", ask(channel));
    assertEquals(2, alive.calls);
  }

  /** A controller whose connections close under each call, as of one that was killed. */
  private void addDyingController() throws IOException {
    String address = UUID.randomUUID().toString();
    servers.add(
        InProcessServerBuilder.forName(address)
            .addService(
                new MicroVmServiceGrpc.MicroVmServiceImplBase() {
                  @Override
                  public void getMicroVm(
                      GetMicroVmRequest request, StreamObserver<MicroVm> client) {
                    client.onError(
                        Status.UNKNOWN.withDescription("channel closed").asRuntimeException());
                  }
                })
            .build()
            .start());
    channels.add(InProcessChannelBuilder.forName(address).build());
  }

  @Test
  void whenOneDiesUnderACallTheNextIsAsked() throws Exception {
    addDyingController();
    Controller alive = new Controller("alive", ErrorReason.INTERNAL, 0);

    assertEquals("alive", ask(new FailoverChannel(channels)));
    assertEquals(1, alive.calls);
  }

  @Test
  void withoutALeaderItAsksAgainAlsoWhereThereIsOneController() throws Exception {
    Controller one = new Controller("one", ErrorReason.NO_LEADER, 2);

    assertEquals("one", ask(new FailoverChannel(channels)));
    assertEquals(3, one.calls);
  }

  @Test
  void aLeaderIsWaitedForNoLongerThanTheCallMayTake() throws Exception {
    new Controller("one", ErrorReason.NO_LEADER, 1_000);

    StatusRuntimeException refused =
        assertThrows(StatusRuntimeException.class, () -> ask(new FailoverChannel(channels)));

    assertEquals(Optional.of(ErrorReason.NO_LEADER), Errors.reasonOf(refused));
  }

  @Test
  void whatWasRefusedForAReasonIsNotAskedElsewhere() throws Exception {
    Controller one = new Controller("one", ErrorReason.NODE_UNREACHABLE, 1);
    Controller two = new Controller("two", ErrorReason.INTERNAL, 0);

    StatusRuntimeException refused =
        assertThrows(StatusRuntimeException.class, () -> ask(new FailoverChannel(channels)));

    assertEquals(Optional.of(ErrorReason.NODE_UNREACHABLE), Errors.reasonOf(refused));
    assertEquals(1, one.calls);
    assertEquals(0, two.calls);
  }

  private String delete(FailoverChannel channel) {
    return MicroVmServiceGrpc.newBlockingStub(channel)
        .withDeadlineAfter(3, TimeUnit.SECONDS)
        .deleteMicroVm(DeleteMicroVmRequest.getDefaultInstance())
        .getMeta()
        .getName();
  }

  private void assertFindsNothingToDelete() {
    StatusRuntimeException refused =
        assertThrows(StatusRuntimeException.class, () -> delete(new FailoverChannel(channels)));
    assertEquals(Optional.of(ErrorReason.MICROVM_NOT_FOUND), Errors.reasonOf(refused));
  }

  @Test
  void aDeleteThatMayHaveBeenDoneIsDoneWhenNothingIsLeft() throws Exception {
    Controller one = new Controller("one", ErrorReason.NO_LEADER, 1);

    assertEquals("one", delete(new FailoverChannel(channels)));
    assertEquals(2, one.calls);
  }

  @Test
  void aDeleteThatReachedNobodyBeforeIsToldThatThereIsNothing() throws Exception {
    addDeadController();
    new Controller("alive", ErrorReason.INTERNAL, 0);

    assertFindsNothingToDelete();
  }

  @Test
  void soIsOneThatOnlyAFollowerHasSeen() throws Exception {
    new Controller("follower", ErrorReason.NOT_LEADER, 1);
    new Controller("leader", ErrorReason.INTERNAL, 0);

    assertFindsNothingToDelete();
  }

  @Test
  void aLoneControllerThatIsGoneIsToldAtOnce() {
    addDeadController();
    long start = System.nanoTime();

    assertThrows(StatusRuntimeException.class, () -> ask(new FailoverChannel(channels)));

    assertEquals(0, TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - start));
  }

  private static String log(FailoverChannel channel) {
    StringBuilder log = new StringBuilder();
    MicroVmServiceGrpc.newBlockingStub(channel)
        .withDeadlineAfter(10, TimeUnit.SECONDS)
        .streamLogs(StreamLogsRequest.getDefaultInstance())
        .forEachRemaining(chunk -> log.append(chunk.getData().toStringUtf8()));
    return log.toString();
  }

  @Test
  void aStreamThatReachedNobodyBeginsAtTheNext() throws Exception {
    addDeadController();
    addDeadController();
    new Controller("alive", ErrorReason.INTERNAL, 0);

    assertEquals("alive", log(new FailoverChannel(channels)));
  }

  @Test
  void soDoesOneThatStreamsItsRequests() throws Exception {
    addDeadController();
    new Controller("alive", ErrorReason.INTERNAL, 0);
    StringBuilder echo = new StringBuilder();
    try (DuplexCall<ExecRequest, ExecResponse> call =
        new DuplexCall<>(responses ->
            MicroVmServiceGrpc.newStub(new FailoverChannel(channels))
                .withDeadlineAfter(10, TimeUnit.SECONDS)
                .exec(responses))) {
      for (String text : List.of("a", "b", "c")) {
        call.send(ExecRequest.newBuilder().setStdin(ByteString.copyFromUtf8(text)).build());
      }
      call.halfClose();
      for (Optional<ExecResponse> next = call.next(); next.isPresent(); next = call.next()) {
        echo.append(next.get().getStdout().toStringUtf8());
      }
    }

    assertEquals("abc", echo.toString());
  }

  @Test
  void aStreamThatHasBegunIsNotBegunAgain() throws Exception {
    Controller one = new Controller("one", ErrorReason.INTERNAL, 1);
    Controller two = new Controller("two", ErrorReason.INTERNAL, 0);
    FailoverChannel channel = new FailoverChannel(channels);

    assertThrows(StatusRuntimeException.class, () -> log(channel));
    assertEquals(List.of(1, 0), List.of(one.calls, two.calls));
    assertEquals("two", log(channel), "the next goes to the next");
  }

  @Test
  void whereAllAreGoneAStreamEnds() {
    addDeadController();
    addDeadController();

    StatusRuntimeException gone =
        assertThrows(StatusRuntimeException.class, () -> log(new FailoverChannel(channels)));

    assertEquals(Status.Code.UNAVAILABLE, gone.getStatus().getCode());
  }
}
