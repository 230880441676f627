package dev.vireo.worker.session;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecResponse;
import dev.vireo.proto.worker.v1.ClientEnd;
import dev.vireo.proto.worker.v1.ControllerMessage;
import dev.vireo.proto.worker.v1.OpenTunnel;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelFailure;
import dev.vireo.proto.worker.v1.TunnelUp;
import dev.vireo.worker.agent.Tunnel;
import dev.vireo.worker.time.SystemTime;
import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Tunnels that a controller asks for in a session, over a real transport. */
final class TunnelDialTest {
  private final SystemTime time = new SystemTime();
  private final RecordingNode node = new RecordingNode();
  private FakeController controller;
  private ControllerSession session;
  private FakeController.Tunnel far;
  private Tunnel tunnel;

  @BeforeEach
  void open() throws Exception {
    controller = FakeController.onLoopback();
    session =
        new ControllerSession(
            ControllerChannel.to(List.of(controller.address())),
            node,
            time,
            new Backoff(Duration.ofMillis(10), Duration.ofMillis(50), new Random(1)));
    session.start();
    await().until(session::isWelcome);
    controller.send(
        ControllerMessage.newBuilder()
            .setOpenTunnel(OpenTunnel.newBuilder().setTunnelId("t1").setUid("u1"))
            .build());
    await()
        .until(() ->
            controller.tunnels().size() == 1
                && controller.tunnels().getFirst().received.size() == 1);
    far = controller.tunnels().getFirst();
    tunnel = node.tunnels.getFirst();
  }

  @AfterEach
  void close() {
    session.close();
    controller.close();
    time.close();
  }

  private static TunnelDown down(int i) {
    return TunnelDown.newBuilder()
        .setExec(ExecRequest.newBuilder().setStdin(ByteString.copyFromUtf8("" + i)))
        .build();
  }

  private static TunnelUp up(ByteString bytes) {
    return TunnelUp.newBuilder().setExec(ExecResponse.newBuilder().setStdout(bytes)).build();
  }

  @Test
  void bringsItsIdAndCarriesMessagesBothWays() throws Exception {
    assertTrue(node.told.contains("serve u1"), node.told::toString);
    assertEquals("t1", far.received.getFirst().getBegin().getTunnelId());
    for (int i = 0; i < 10; i++) {
      far.worker.onNext(down(i));
      assertEquals(Optional.of(down(i)), tunnel.receive());
    }
    far.worker.onNext(TunnelDown.newBuilder().setEnd(ClientEnd.getDefaultInstance()).build());
    assertEquals(Optional.empty(), tunnel.receive());
    assertEquals(Optional.empty(), tunnel.receive());
    TunnelUp answer = up(ByteString.copyFromUtf8("x"));
    tunnel.send(answer);
    tunnel.complete();
    far.worker.request(2);
    await().until(() -> far.end.equals("completed"));
    assertEquals(answer, far.received.getLast());
  }

  @Test
  void aFailureIsTheLastMessage() {
    TunnelFailure failure = TunnelFailure.newBuilder().setReason("X").build();
    tunnel.fail(failure);
    tunnel.complete();
    far.worker.request(2);
    await().until(() -> far.end.equals("completed"));
    assertEquals(failure, far.received.getLast().getFailure());
  }

  @Test
  void aControllerThatDoesNotReadHoldsTheSenderUp() throws Exception {
    ByteString much = ByteString.copyFrom(new byte[64 << 10]);
    AtomicInteger sent = new AtomicInteger();
    Thread sender =
        Thread.ofVirtual()
            .start(() -> {
              try {
                while (sent.get() < 1_000) {
                  tunnel.send(up(much));
                  sent.incrementAndGet();
                }
              } catch (Tunnel.GoneException | InterruptedException e) {
                // As it should be.
              }
            });
    AtomicInteger last = new AtomicInteger(-1);
    await().during(Duration.ofMillis(300)).until(() -> last.getAndSet(sent.get()) == sent.get());
    assertTrue(sent.get() < 200, sent + " messages were taken for one who reads none");
    int before = sent.get();
    far.worker.request(before);
    await().until(() -> sent.get() > before);

    far.worker.onError(Status.CANCELLED.asRuntimeException());
    sender.join();
  }

  @Test
  void aReaderThatWaitsHoldsNoOtherTunnelUpAndNotTheSession() throws Exception {
    controller.send(
        ControllerMessage.newBuilder()
            .setOpenTunnel(OpenTunnel.newBuilder().setTunnelId("t2").setUid("u2"))
            .build());
    await().until(() -> controller.tunnels().size() == 2 && node.tunnels.size() == 2);
    ByteString much = ByteString.copyFrom(new byte[64 << 10]);
    TunnelDown big =
        TunnelDown.newBuilder().setExec(ExecRequest.newBuilder().setStdin(much)).build();
    int sent = 0;
    while (sent < 1_000 && far.worker.isReady()) {
      far.worker.onNext(big);
      sent++;
      await().pollDelay(Duration.ofMillis(1)).until(() -> true);
    }
    assertTrue(sent < 200, sent + " messages were taken for one who reads none");

    controller.tunnels().getLast().worker.onNext(down(7));
    assertEquals(Optional.of(down(7)), node.tunnels.getLast().receive());
    controller.remove("u3", false);
    await().until(() -> node.told.contains("change u3"));
  }

  @Test
  void whenTheControllerEndsItWhoServesItIsTold() throws Exception {
    CountDownLatch gone = new CountDownLatch(1);
    tunnel.onGone(gone::countDown);
    far.worker.onError(Status.CANCELLED.asRuntimeException());

    assertTrue(gone.await(10, TimeUnit.SECONDS));
    assertThrows(Tunnel.GoneException.class, tunnel::receive);
    assertThrows(Tunnel.GoneException.class, () -> tunnel.send(up(ByteString.EMPTY)));
    CountDownLatch late = new CountDownLatch(1);
    tunnel.onGone(late::countDown);
    assertTrue(late.await(10, TimeUnit.SECONDS));
  }

  @Test
  void oneThatIsCancelledHereEndsThere() throws Exception {
    CountDownLatch gone = new CountDownLatch(1);
    tunnel.onGone(gone::countDown);
    tunnel.cancel();

    assertTrue(gone.await(10, TimeUnit.SECONDS));
    await().until(() -> far.end.equals("cancelled"));
  }
}
