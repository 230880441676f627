package dev.vireo.controller.leader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.vireo.proto.v1.GetMicroVmRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import io.grpc.ManagedChannel;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** How calls to a leader end when this controller stops: so that a client tries another one. */
class LeaderChannelsTest {
  private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
  private final LeaderChannels channels = LeaderChannels.ofNetwork(threads, List.of());
  private final CompletableFuture<Void> asked = new CompletableFuture<>();
  private Server leader;

  @BeforeEach
  void startALeaderThatNeverAnswers() throws IOException {
    leader =
        NettyServerBuilder.forAddress(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0))
            .addService(
                new MicroVmServiceGrpc.MicroVmServiceImplBase() {
                  @Override
                  public void getMicroVm(
                      GetMicroVmRequest request, StreamObserver<MicroVm> answer) {
                    asked.complete(null);
                  }
                })
            .build()
            .start();
  }

  @AfterEach
  void stop() {
    channels.close();
    leader.shutdownNow();
    threads.close();
  }

  private String address() {
    return "127.0.0.1:" + leader.getPort();
  }

  private static Status outcome(ManagedChannel channel) {
    return assertThrows(
            StatusRuntimeException.class,
            () ->
                MicroVmServiceGrpc.newBlockingStub(channel)
                    .getMicroVm(GetMicroVmRequest.getDefaultInstance()))
        .getStatus();
  }

  @Test
  void aCallAfterTheEndCouldNotBeSent() {
    channels.close();

    assertEquals(Status.Code.UNAVAILABLE, outcome(channels.to(address())).getCode());
  }

  @Test
  void aCallThatIsUnderWayEndsAsOneWhoseLeaderWentAway()
      throws ExecutionException, InterruptedException {
    ManagedChannel channel = channels.to(address());
    CompletableFuture<Status> outcome =
        CompletableFuture.supplyAsync(() -> outcome(channel), threads);
    asked.get();

    channels.close();

    assertEquals(Status.Code.UNAVAILABLE, outcome.get().getCode());
  }

  @Test
  void aCallToAFormerLeaderEndsSoToo() throws ExecutionException, InterruptedException {
    ManagedChannel channel = channels.to(address());
    CompletableFuture<Status> outcome =
        CompletableFuture.supplyAsync(() -> outcome(channel), threads);
    asked.get();

    channels.follow(Optional.empty());
    channels.close();

    assertEquals(Status.Code.UNAVAILABLE, outcome.get().getCode());
  }
}
