package dev.vireo.controller.leader;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.testing.ManualTime;
import dev.vireo.controller.testing.StreamingClient;
import dev.vireo.controller.testing.TestController;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.CopyInRequest;
import dev.vireo.proto.v1.CopyInResponse;
import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecResponse;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmServiceGrpc.MicroVmServiceImplBase;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.inprocess.InProcessServerBuilder;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Streams of requests, which a controller that does not lead has the leader answer. */
final class LeaderProxyStreamsTest {
  private static final Duration PATIENCE = Duration.ofSeconds(10);

  @TempDir private Path directory;

  private final String address = UUID.randomUUID().toString();
  private final Leadership follows = Leadership.elected(TimeSource.system());
  private final Leader leader = new Leader();
  private @Nullable Server server;
  private Store store;
  private TestController follower;

  /** One call that has reached the leader, which takes only as many messages as it is told to. */
  private static final class Call implements StreamObserver<ExecRequest> {
    final ServerCallStreamObserver<ExecResponse> client;
    final BlockingQueue<ExecRequest> received = new LinkedBlockingQueue<>();
    volatile boolean halfClosed;
    volatile boolean cancelled;

    Call(StreamObserver<ExecResponse> client) {
      this.client = (ServerCallStreamObserver<ExecResponse>) client;
      this.client.disableAutoRequest();
      this.client.setOnCancelHandler(() -> cancelled = true);
    }

    ExecRequest next() throws InterruptedException {
      client.request(1);
      ExecRequest next = received.poll(PATIENCE.toSeconds(), TimeUnit.SECONDS);
      assertNotNull(next, "nothing came");
      return next;
    }

    @Override
    public void onNext(ExecRequest message) {
      received.add(message);
    }

    @Override
    public void onError(Throwable error) {
      cancelled = true;
    }

    @Override
    public void onCompleted() {
      halfClosed = true;
    }
  }

  private static final class Leader extends MicroVmServiceImplBase {
    final BlockingQueue<Call> calls = new LinkedBlockingQueue<>();
    final AtomicInteger begun = new AtomicInteger();

    @Override
    public StreamObserver<ExecRequest> exec(StreamObserver<ExecResponse> client) {
      begun.incrementAndGet();
      Call call = new Call(client);
      calls.add(call);
      return call;
    }

    /** Answers with how many messages there were. */
    @Override
    public StreamObserver<CopyInRequest> copyIn(StreamObserver<CopyInResponse> client) {
      return new StreamObserver<>() {
        private int entries;

        @Override
        public void onNext(CopyInRequest message) {
          entries++;
        }

        @Override
        public void onError(Throwable error) {
          entries = 0;
        }

        @Override
        public void onCompleted() {
          client.onNext(CopyInResponse.newBuilder().setEntries(entries).build());
          client.onCompleted();
        }
      };
    }

    Call next() throws InterruptedException {
      Call call = calls.poll(PATIENCE.toSeconds(), TimeUnit.SECONDS);
      assertNotNull(call, "no call came");
      return call;
    }
  }

  @BeforeEach
  void start() {
    store =
        SqliteStore.open(
            directory.resolve("vireo.db"), Clock.systemUTC(), new SimpleMeterRegistry());
    follower = new TestController(store, new ManualTime(), follows, "follows", PATIENCE);
  }

  private void lead() throws IOException {
    server = InProcessServerBuilder.forName(address).addService(leader).build().start();
    follows.follow(Optional.of(address));
  }

  @AfterEach
  void stop() {
    if (server != null) {
      server.shutdownNow();
    }
    follower.close();
    store.close();
  }

  private StreamingClient<ExecRequest, ExecResponse> exec() {
    StreamingClient<ExecRequest, ExecResponse> client = new StreamingClient<>();
    MicroVmServiceGrpc.newStub(follower.channel()).exec(client);
    return client;
  }

  private static ExecRequest request(int i) {
    return ExecRequest.newBuilder().setStdin(ByteString.copyFromUtf8("" + i)).build();
  }

  private static ExecResponse response(int i) {
    return ExecResponse.newBuilder().setStdout(ByteString.copyFromUtf8("" + i)).build();
  }

  @Test
  void messagesGoBothWaysAsTheyCome() throws Exception {
    lead();
    StreamingClient<ExecRequest, ExecResponse> client = exec();
    client.say(request(0));
    Call call = leader.next();

    assertEquals(request(0), call.next());
    for (int i = 1; i < 10; i++) {
      call.client.onNext(response(i));
      assertEquals(response(i), client.next());
      client.say(request(i));
      assertEquals(request(i), call.next());
    }
    client.complete();
    call.client.request(1);
    await().until(() -> call.halfClosed);
    call.client.onCompleted();
    assertNull(client.awaitEnd());
  }

  @Test
  void aStreamWithOneAnswerIsAnsweredOnce() throws Exception {
    lead();
    for (int messages : new int[] {0, 1, 3}) {
      StreamingClient<CopyInRequest, CopyInResponse> client = new StreamingClient<>();
      MicroVmServiceGrpc.newStub(follower.channel()).copyIn(client);
      for (int i = 0; i < messages; i++) {
        client.say(CopyInRequest.getDefaultInstance());
      }
      client.complete();

      assertEquals(messages, client.next().getEntries());
      assertNull(client.awaitEnd());
    }
  }

  @Test
  void aLeaderThatDoesNotReadHoldsTheClientUp() throws Exception {
    lead();
    StreamingClient<ExecRequest, ExecResponse> client = exec();
    client.say(request(0));
    Call call = leader.next();

    int sent = 1;
    for (int quiet = 0; sent < 100 && quiet < 30; quiet++) {
      if (client.isReady()) {
        client.say(request(sent++));
        quiet = 0;
      } else {
        Thread.sleep(10); // That nothing happens can only be waited for.
      }
    }

    assertTrue(sent < 10, sent + " messages were taken for one who reads none");
    for (int i = 0; i < sent; i++) {
      assertEquals(request(i), call.next());
    }
    call.client.request(1);
    await().until(client::isReady);
  }

  @Test
  void aClientThatDoesNotReadHoldsTheLeaderUp() throws Exception {
    lead();
    StreamingClient<ExecRequest, ExecResponse> client = exec();
    client.say(request(0));
    Call call = leader.next();

    int sent = 0;
    for (int quiet = 0; sent < 100 && quiet < 30; quiet++) {
      if (call.client.isReady()) {
        call.client.onNext(response(sent++));
        quiet = 0;
      } else {
        Thread.sleep(10); // That nothing happens can only be waited for.
      }
    }

    assertTrue(sent < 10, sent + " messages were taken for one who reads none");
    for (int i = 0; i < sent; i++) {
      assertEquals(response(i), client.next());
    }
  }

  @Test
  void aStreamWaitsForALeaderWithItsFirstMessage() throws Exception {
    StreamingClient<ExecRequest, ExecResponse> client = exec();
    client.say(request(0));
    client.complete();
    await().during(Duration.ofMillis(300)).until(leader.calls::isEmpty);
    lead();

    Call call = leader.next();
    assertEquals(request(0), call.next());
    call.client.request(1);
    await().until(() -> call.halfClosed);
  }

  @Test
  void aStreamThatHasReachedALeaderIsNeverBegunAgain() throws Exception {
    lead();
    for (StatusRuntimeException error :
        new StatusRuntimeException[] {
          Errors.of(ErrorReason.NOT_LEADER, "it leads no more"),
          Status.UNKNOWN.withDescription("channel closed").asRuntimeException()
        }) {
      int before = leader.begun.get();
      StreamingClient<ExecRequest, ExecResponse> client = exec();
      client.say(request(0));
      Call call = leader.next();
      assertEquals(request(0), call.next());
      call.client.onError(error);

      Throwable ended = client.awaitEnd();
      assertNotNull(ended);
      assertEquals(
          Errors.reasonOf(error).orElse(ErrorReason.NO_LEADER),
          Errors.reasonOf(ended).orElseThrow(),
          ended::toString);
      assertEquals(before + 1, leader.begun.get());
    }
  }

  @Test
  void aClientThatGoesEndsTheLeadersCall() throws Exception {
    lead();
    StreamingClient<ExecRequest, ExecResponse> client = exec();
    client.say(request(0));
    Call call = leader.next();
    client.cancel();

    await().until(() -> call.cancelled);
  }
}
